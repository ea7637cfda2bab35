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
# # Quickstart: Claude Code or Codex answers from your own machine
#
# Choose a recipe, start it, ask the agent a question, and see where the time of the answer went.
#
# * **Needs** Node.js for the agent; for the embedded recipe no GPU, no cluster and no key.
# * **Takes** some minutes the first time, which installs vLLM and the model; later under a minute.
#
# It runs from top to bottom here, and headless:
# `python -m papermill notebooks/1_quickstart.ipynb out.ipynb -p QUESTION "Why is the sky blue?"`

# %% tags=["parameters"]
RECIPE: str = "smollm2-135m-cpu"  # name or path of a recipe
AGENT: str = "claude"  # who is asked: claude (Claude Code) or codex (OpenAI's Codex)
QUESTION: str = "What is the capital of France?"  # what the agent is asked
RUN_DIR: str = ""  # folder for summary.json; empty for one in the state folder
STOP_AT_END: bool = True  # end the stack that this notebook started; one that ran before stays

# %%
import autosre_lab
from autosre_lab import notebooks, widgets

# %% [markdown]
# ## Choose a recipe
#
# A recipe says everything about serving one model. The table and the drop-down hold the same.

# %%
widgets.recipe_table()

# %%
picker = widgets.recipe_picker(RECIPE)
picker

# %% [markdown]
# ## Start
#
# What is missing is installed first. A stack that runs already is taken as it is. Ready means that
# a token was generated, by the engine and through the proxy.

# %%
was_running = autosre_lab.status().state != "stopped"
stack = autosre_lab.start(picker.value)
stack

# %% [markdown]
# ## Ask
#
# The real command line, once, with the settings that this engine's window needs.

# %%
answer = autosre_lab.ask(QUESTION, agent=AGENT, stack=stack)
print(answer.text)

# %% [markdown]
# ## Where the time went
#
# From the start of the agent's process to its end. What the proxy saw comes from its request log.

# %%
requests = autosre_lab.read_request_log(stack.request_log)
breakdown = widgets.time_breakdown(answer, requests)
breakdown.round(3)

# %%
widgets.ThemedFigure(
    widgets.plot_time_breakdown(breakdown, title=f"{answer.wall_s:.1f} s for “{QUESTION}”")
)

# %% [markdown]
# ## Stop, and keep the facts

# %%
if STOP_AT_END and not was_running:
    autosre_lab.stop()
autosre_lab.status().state

# %%
notebooks.save_summary(
    notebooks.run_dir("quickstart", RUN_DIR),
    {
        "recipe": stack.recipe_name,
        "agent": AGENT,
        "question": QUESTION,
        "answer": answer.text,
        "is_error": answer.is_error,
        "wall_s": answer.wall_s,
        "input_tokens": answer.input_tokens,
        "cached_tokens": answer.cached_tokens,
        "output_tokens": answer.output_tokens,
        "seconds": breakdown["seconds"].round(3).to_dict(),
    },
)
