"""Claude Code, the real CLI, started against a model of your own.

``autosre claude`` takes claude's own arguments. From Python:

* `launch` runs it in this terminal and returns its exit code,
* `autosre_lab.ask` with ``agent="claude"`` asks one question and returns the `Answer`,
* `plan_launch` says what would be run, without running anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autosre_lab.agents import session
from autosre_lab.agents.answer import Answer
from autosre_lab.agents.claude.agent import CLAUDE
from autosre_lab.agents.claude.plan import plan_launch
from autosre_lab.agents.claude.profiles import PROFILES, Profile
from autosre_lab.agents.launch import Launch

__all__ = ["PROFILES", "Answer", "Launch", "Profile", "launch", "plan_launch"]


def launch(args: Sequence[str] = (), *, cwd: Path | None = None) -> int:
    """Run it in this terminal and wait for its end; see `autosre_lab.agents.session.launch`.

    Args:
        args: Our own options first, then its own arguments.
        cwd: Where to run it; the current folder when not given.

    Returns:
        Its exit code; 128 + N where signal N ended it.
    """
    return session.launch(CLAUDE, args, cwd=cwd)
