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
# # Benchmark: how fast is it, and is that faster than before?
#
# Measure work against the running stack, keep the result cards, compare two of them.
#
# * **Needs** a recipe that runs here; the embedded one needs no GPU.
# * **Takes** under a minute on the CPU with these parameters, the engine's start not included.
#
# Headless: `autosre notebook run benchmark -p WORKLOAD=smoke`

# %% tags=["parameters"]
RECIPE: str = ""  # name or path of a recipe; empty for the one that runs, or the default
WORKLOAD: str = "decode"  # smoke, decode, prefill-curve, depth or cc-session
PARAMETERS: str = "requests: 4, input_tokens: 128, output_tokens: 24"  # of the workload
ARRIVALS: str = "closed:2"  # closed:USERS, constant:RATE, poisson:RATE or recorded
CACHE: str = "cold"  # prefix cache as a session begins: cold or warm
REPEATS: int = 2  # measurements; two of the same show how large the noise is
RUN_DIR: str = ""  # folder for result cards and summary.json; empty for one in the state folder
STOP_AT_END: bool = False  # end the stack at the end, if this notebook started it

# %%
import autosre_lab
from autosre_lab import notebooks, widgets

folder = notebooks.run_dir("benchmark", RUN_DIR)
was_running = autosre_lab.status().state != "stopped"
stack = autosre_lab.start(RECIPE or autosre_lab.status().recipe_name)

# %% [markdown]
# ## Measure
#
# Each workload is made here from a seed, the same everywhere. Every run begins with words that no
# earlier run had, so nothing of an earlier run is in the prefix cache. Stop ends it at once.

# %%
panel = widgets.BenchPanel(
    folder, workload=WORKLOAD, parameters=PARAMETERS, arrivals=ARRIVALS, cache=CACHE
)
panel.measure(repeats=REPEATS)
panel

# %% [markdown]
# ## Read it
#
# * **first token** is what a person waits for; **per token** (TPOT) is the speed of writing.
# * An **interval** comes from whole sessions drawn again and again; below three there is none.
# * Two results are compared only where the work was the same. What differs in how they were made
#   stands first; a difference is called one only where the interval of the ratio excludes 1.

# %%
panel.wait()  # what is below is of this run; Stop ends it early
widgets.results_table(panel.measured).T

# %%
if STOP_AT_END and not was_running:
    autosre_lab.stop()
notebooks.save_summary(folder, {"recipe": stack.recipe_name, **panel.summary()})
