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
# # Evaluate: are its answers right?
#
# A ladder from cheap to dear: the API's promises (L0), answers out of the prefix cache (L1),
# functions that are run and tested in a sandbox (L3).
#
# * **Needs** a recipe that runs here; the embedded one needs no GPU.
# * **Takes** under a minute on the CPU with these parameters, the engine's start not included.
#
# Headless: `autosre notebook run evaluate -p LIMIT=164`

# %% tags=["parameters"]
RECIPE: str = ""  # name or path of a recipe; empty for the one that runs, or the default
LEVELS: str = "L0 L1 L3"  # with spaces between
LIMIT: int = 1  # problems of L3, of 164
RUN_DIR: str = ""  # folder for evaluations and summary.json; empty for one in the state folder
STOP_AT_END: bool = False  # end the stack at the end, if this notebook started it

# %%
import autosre_lab
from autosre_lab import notebooks, widgets

folder = notebooks.run_dir("evaluate", RUN_DIR)
was_running = autosre_lab.status().state != "stopped"
stack = autosre_lab.start(RECIPE or autosre_lab.status().recipe_name)

# %% [markdown]
# ## Climb
#
# What could not be told is never counted as passed. L0 and L1 say whether the engine and the proxy
# are right; L3 says something of the model.

# %%
panel = widgets.EvaluationPanel(folder, levels=LEVELS, limit=LIMIT)
panel.evaluate()
panel

# %% [markdown]
# ## Read it
#
# * The **interval** is Wilson's, 95 %: with few cases it is wide, and that is the truth.
# * Evaluate again after a change of the recipe: the two are compared case by case, and called
#   different only where McNemar's exact test says so.

# %%
panel.wait()  # what is below is of this run; Stop ends it early
widgets.levels_table(panel.evaluated)

# %%
if STOP_AT_END and not was_running:
    autosre_lab.stop()
notebooks.save_summary(folder, {"recipe": stack.recipe_name, **panel.summary()})
