"""Claude Code, the real CLI, started against a model of your own.

``python -m autosre_lab.claude`` takes claude's own arguments. From Python:

* `launch` runs it in this terminal and returns its exit code,
* `ask` asks one question and returns the `Answer`,
* `plan_launch` says what would be run, without running anything.
"""

from __future__ import annotations

from autosre_lab.agents.claude.answer import Answer, ask
from autosre_lab.agents.claude.plan import Launch, plan_launch
from autosre_lab.agents.claude.profiles import PROFILES, Profile
from autosre_lab.agents.claude.session import launch
from autosre_lab.agents.claude.window import WindowFit, choose_profile

__all__ = [
    "PROFILES",
    "Answer",
    "Launch",
    "Profile",
    "WindowFit",
    "ask",
    "choose_profile",
    "launch",
    "plan_launch",
]
