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
# # Sessions: what did the prefix cache have, and why not the rest?
#
# Each turn of Claude Code repeats everything before it. On one machine the prefix cache is worth
# more than all other settings together, so every miss gets its cause.
#
# * **Needs** Node.js for Claude Code and a recipe that runs here; or a recorded request log.
# * **Takes** about a minute on the CPU with these parameters, the engine's start not included.
#
# Headless: `autosre notebook run sessions -p "QUESTIONS=Who are you?|And who am I?"`

# %% tags=["parameters"]
RECIPE: str = ""  # name or path of a recipe; empty for the one that runs, or the default
LOG: str = ""  # a recorded request log to look at; empty for the running stack's
QUESTIONS: str = "What is the capital of France?|And of Italy?"  # asked in one session, | between
REPLAY: bool = True  # send the session again, by its trace
RUN_DIR: str = ""  # folder for traces and summary.json; empty for one in the state folder
STOP_AT_END: bool = False  # end the stack at the end, if this notebook started it

# %%
import autosre_lab
from autosre_lab import notebooks, widgets

folder = notebooks.run_dir("sessions", RUN_DIR)
was_running = autosre_lab.status().state != "stopped"
stack = autosre_lab.start(RECIPE or autosre_lab.status().recipe_name)

# %% [markdown]
# ## Record, explain, replay
#
# The proxy logs sizes, times and digests of each request, never words. A replay sends the same
# sizes with other words.

# %%
panel = widgets.SessionPanel(folder, log=LOG)
panel.record(QUESTIONS.split("|"), replay=REPLAY)
panel

# %% [markdown]
# ## Read it
#
# * **expected** is what the prompt shares with an earlier one, in whole blocks of the cache: 16
#   tokens on most GPUs, 128 on the CPU, where two questions as short as these share none.
# * **new text** cannot be had from any cache. Everything else has a cause to look into: tools in
#   another order, a system prompt with a date in it, a compaction, a restart, an eviction.

# %%
panel.wait()  # what is below is of this run; Stop ends it early
widgets.cache_table(panel.profile(), every_cause=True).T

# %%
if STOP_AT_END and not was_running:
    autosre_lab.stop()
notebooks.save_summary(folder, {"recipe": stack.recipe_name, **panel.summary()})
