"""OpenAI's Codex, the real CLI, started against a model of your own.

``autosre codex`` takes codex's own arguments. From Python:

* `launch` runs it in this terminal and returns its exit code,
* `autosre_lab.ask` with ``agent="codex"`` asks one question and returns the `Answer`,
* `plan_launch` says what would be run, without running anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autosre_lab.agents import session
from autosre_lab.agents.answer import Answer
from autosre_lab.agents.codex.agent import CODEX
from autosre_lab.agents.codex.plan import plan_launch
from autosre_lab.agents.codex.profiles import PROFILES, CodexProfile
from autosre_lab.agents.launch import Launch

__all__ = ["PROFILES", "Answer", "CodexProfile", "Launch", "launch", "plan_launch"]


def launch(args: Sequence[str] = (), *, cwd: Path | None = None) -> int:
    """Run it in this terminal and wait for its end; see `autosre_lab.agents.session.launch`.

    Args:
        args: Our own options first, then its own arguments.
        cwd: Where to run it; the current folder when not given.

    Returns:
        Its exit code; 128 + N where signal N ended it.
    """
    return session.launch(CODEX, args, cwd=cwd)
