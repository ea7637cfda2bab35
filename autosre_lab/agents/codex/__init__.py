"""OpenAI's Codex, the real CLI, started against a model of your own.

``autosre codex`` takes Codex's own arguments. From Python:

* `launch` runs it in this terminal and returns its exit code,
* `ask` asks one question and returns the `Answer`,
* `plan_launch` says what would be run, without running anything.
"""

from __future__ import annotations

from autosre_lab.agents.answer import Answer
from autosre_lab.agents.codex.answer import ask
from autosre_lab.agents.codex.plan import plan_launch
from autosre_lab.agents.codex.profiles import PROFILES, CodexProfile
from autosre_lab.agents.codex.session import launch
from autosre_lab.agents.launch import Launch

__all__ = ["PROFILES", "Answer", "CodexProfile", "Launch", "ask", "launch", "plan_launch"]
