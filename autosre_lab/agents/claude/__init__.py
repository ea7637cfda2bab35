"""Claude Code, the real CLI, started against a model of your own.

``autosre claude`` takes claude's own arguments. From Python:

* `launch` runs it in this terminal and returns its exit code,
* `ask` asks one question and returns the `Answer`,
* `plan_launch` says what would be run, without running anything.
"""

from __future__ import annotations

from autosre_lab.agents.answer import Answer
from autosre_lab.agents.claude.answer import ask
from autosre_lab.agents.claude.plan import plan_launch
from autosre_lab.agents.claude.profiles import PROFILES, Profile
from autosre_lab.agents.claude.session import launch
from autosre_lab.agents.launch import Launch

__all__ = ["PROFILES", "Answer", "Launch", "Profile", "ask", "launch", "plan_launch"]
