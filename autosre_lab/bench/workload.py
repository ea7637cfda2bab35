"""What is asked of a stack: sessions of turns, the same on every run of the same workload."""

from __future__ import annotations

import functools
import hashlib
from typing import Any, Literal

import msgspec

__all__ = ["Session", "SessionTurn", "Workload", "workload_sha256"]


class SessionTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a session.

    Attributes:
        text: The new input: what the user says; or, where the answer before called a tool, the
            tool's result.
        max_tokens: The most tokens it may generate.
        wait_s: From the end of the turn before until this one is due: the tool's time and the
            user's.
        answer: What stands in the history in place of the live answer, where the history is
            scripted.
        tool: The scripted answer also calls this tool.
        tool_choice: A tool that the model is made to call.
        exact: Generate exactly `max_tokens`, past the end of the answer. For capacity only: it
            changes what is generated.
    """

    text: str
    max_tokens: int
    wait_s: float = 0.0
    answer: str | None = None
    tool: str | None = None
    tool_choice: str | None = None
    exact: bool = False


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation whose every turn repeats what went before it.

    Attributes:
        id: Unique within the workload.
        system: The system prompt.
        tools: Tool definitions in Anthropic's form.
        turns: In order.
        parent: The session whose subagent this one is.
        after_turn: Its parent's turn, counted from 0, at whose end it starts.
        start_s: When it starts, from the run's start, where a workload says so itself (replays).
    """

    id: str
    system: str
    turns: tuple[SessionTurn, ...]
    tools: tuple[dict[str, Any], ...] = ()
    parent: str | None = None
    after_turn: int = 0
    start_s: float = 0.0


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of sessions.

    Attributes:
        name: As a person calls it.
        seed: What its texts and sizes were drawn from.
        parameters: How it was made, for the result card.
        sessions: In order of their start.
        history: ``live`` puts each real answer into the history, so that the prefix cache can
            hold it; ``scripted`` puts the turn's `answer` there, the same on every run.
    """

    name: str
    seed: int
    parameters: dict[str, int | float | str | bool]
    sessions: tuple[Session, ...]
    history: Literal["live", "scripted"] = "live"

    def __repr__(self) -> str:
        return f"<Workload {self.name}, seed {self.seed}, {len(self.sessions)} sessions>"

    @property
    def sha256(self) -> str:
        """Digest of everything in it; results are compared only where this agrees."""
        return workload_sha256(self)

    @property
    def requests(self) -> int:
        """How many turns it has."""
        return sum(len(session.turns) for session in self.sessions)


@functools.lru_cache(maxsize=16)
def _digest(encoded: bytes) -> str:
    return hashlib.sha256(encoded).hexdigest()


def workload_sha256(workload: Workload) -> str:
    """Digest of a workload's canonical JSON."""
    return _digest(msgspec.json.encode(workload, order="sorted"))
