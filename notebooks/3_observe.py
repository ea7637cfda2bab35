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
# # Observe: what the stack does right now
#
# Throughput, time to first token, queue, caches, preemptions, GPU, memory, priority classes,
# requests and logs, once a second, and in one word what holds the engine back.
#
# * **Needs** a stack; the embedded one is started where none runs.
# * **Takes** a minute. Press **Stop** to end polling; it also ends when this page is closed.

# %% tags=["parameters"]
RECIPE: str = ""  # name or path of a recipe to start where nothing runs; empty for the default
SECONDS: float = 15.0  # how long a run that nobody looks at watches
SMALL_LOAD: bool = True  # send short sessions meanwhile, so that something moves
STOP_AT_END: bool = False  # end what this notebook started, after a run that nobody looks at
RUN_DIR: str = ""  # folder for summary.json; empty for one in the state folder

# %%
import autosre_lab
from autosre_lab import notebooks, widgets

was_running = autosre_lab.status().state != "stopped"
stack = autosre_lab.start(RECIPE or autosre_lab.status().recipe_name)
stack

# %% [markdown]
# ## Live
#
# **Small load** sends short sessions for half a minute.

# %%
dashboard = widgets.observe().start()
if not widgets.interactive():
    dashboard.watch(SECONDS, small_load=SMALL_LOAD)
dashboard

# %% [markdown]
# ## The same as data
#
# What the charts show, as a table; a figure that is not known is missing, never 0.

# %%
table = dashboard.table()
table.tail().T

# %%
if STOP_AT_END and not was_running and not widgets.interactive():
    autosre_lab.stop()
notebooks.save_summary(notebooks.run_dir("observe", RUN_DIR), dashboard.summary())
