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
# # Deploy: look first, then start, switch or stop
#
# Choose a recipe and a place, see what stands in the way and what would change, and start it.
#
# * **Needs** nothing for the embedded recipe; for the place `cluster` a kubeconfig.
# * **Takes** some minutes the first time, later under a minute. A cluster is changed only with
#   `DRY_RUN = False`.

# %% tags=["parameters"]
RECIPE: str = ""  # name or path of a recipe; empty for the setting, by default the embedded one
PLACE: str = "auto"  # auto (as the recipe says), local (processes here) or cluster (Pods)
DRY_RUN: bool = True  # leave a cluster alone: look only
STOP_AT_END: bool = True  # end what this notebook started, after a run that nobody looks at
RUN_DIR: str = ""  # folder for summary.json; empty for one in the state folder

# %%
from autosre_lab import load_recipe, load_settings, notebooks, status, widgets

recipe = load_recipe(RECIPE or load_settings().recipe)
recipe

# %% [markdown]
# ## The panel
#
# **Check** changes nothing. **Start or switch** shows the rollout; **Stop** beside it undoes it.

# %%
panel = widgets.deploy(RECIPE, place=PLACE, dry_run=DRY_RUN)
panel.check()
panel

# %% [markdown]
# ## The same as data
#
# What stands in the way, and what a start would change of what runs.

# %%
widgets.check_table(recipe, place=None if PLACE == "auto" else PLACE)

# %%
widgets.change_table(recipe, place=None if PLACE == "auto" else PLACE)

# %% [markdown]
# ## Headless run
#
# A run by papermill starts the stack, and compares what runs with the recipe.

# %%
where = None if PLACE == "auto" else PLACE
was_running = panel.may_start and status(place=where).state != "stopped"
if not widgets.interactive() and panel.may_start:
    panel.start()
panel.status()

# %%
summary = panel.summary()
if not widgets.interactive() and panel.may_start and STOP_AT_END and not was_running:
    panel.stop()
notebooks.save_summary(notebooks.run_dir("deploy", RUN_DIR), summary)
