# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Tune: which settings are faster, and still right?
#
# An experiment turns settings of a recipe. Each trial starts the engine with them, checks that its
# answers are right, and only then measures, against the recipe as it is.
#
# * **Needs** a recipe that runs here; what runs now is stopped, and started again at the end.
# * **Takes** on the CPU some two minutes with these parameters, which show how it works. To learn
#   something give 12 trials, `ABBA`, and an hour or two.
#
# Headless: `autosre notebook run tune -p TRIALS=12 -p ABBA=True`

# %% tags=["parameters"]
RECIPE: str = ""  # the incumbent's name or path; empty for the setting's
KNOBS: str = ""  # PATH: [VALUE, VALUE]; empty for what the recipe suggests
PARAMETERS: str = "sessions: 3, turns: 2, scale: 0.02, waits: 0.0, context: 4096"  # of cc-session
TRIALS: int = 2  # combinations to try at most
MINUTES: float = 30.0  # wall clock that the trials may take
STRATEGY: str = "random"  # grid, random, halving or optuna
ABBA: bool = False  # measure the incumbent before and after each candidate, as one should
PROMOTE: bool = False  # write a winner as a recipe of your own
RUN_DIR: str = ""  # folder for journals and summary.json; empty for one in the state folder

# %%
import autosre_lab
from autosre_lab import notebooks, widgets

folder = notebooks.run_dir("tune", RUN_DIR)
recipe = RECIPE or autosre_lab.load_settings().recipe

# %% [markdown]
# ## Design and run
#
# The journal is on disk after each trial: a run that was stopped or killed goes on where it was.
# A trial that does not start, runs out of memory or answers wrongly is a result too.

# %%
panel = widgets.TuningPanel(
    recipe,
    folder,
    knobs=KNOBS,
    parameters=PARAMETERS,
    trials=TRIALS,
    minutes=MINUTES,
    strategy=STRATEGY,
    abba=ABBA,
)
panel.run()
panel

# %% [markdown]
# ## Read it
#
# * The **ratio** is the candidate's figure over the incumbent's; below 1 it is faster.
# * It is **better** only if the whole interval is below 1 and the gate was passed. Then Promote
#   writes it as a recipe, with its evidence.
# * On the **Pareto front** nothing else is better in both.

# %%
panel.wait()  # what is below is of this run; Stop ends it early
if PROMOTE:
    panel.promote()
notebooks.save_summary(folder, {"recipe": recipe, **panel.summary()})
