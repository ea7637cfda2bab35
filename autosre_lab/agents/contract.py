"""A table of behaviours that we rely on in an agent, and how it is tried on an executable.

``autosre claude --check`` and ``autosre codex --check`` try it on one executable; the tests try it
on every supported version.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from autosre_lab.agents.trial import AgentTrial, killed_in_the_middle

__all__ = ["Behaviour", "BehaviourResult", "Broken", "check", "expect", "goes_on", "same"]

AnyTrial = TypeVar("AnyTrial")
_DOWN_S = 3.0
"""Longer than the clock by which the trial's proxy writes signs of life."""


class Broken(Exception):  # noqa: N818 - an outcome, told in the report and raised by nobody else
    """A version does not do what we rely on; the message says what it did instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour(Generic[AnyTrial]):
    """One thing that we rely on.

    Attributes:
        name: A few words.
        run: Tries it, and raises `Broken`.
        window: Tokens that the engine serves meanwhile.
        keepalive_s: Silent seconds after which the proxy begins an answer, and between its signs.
        resume_tries: How often the proxy asks again where the engine broke off.
        needs: A package without which it cannot be tried.
    """

    name: str
    run: Callable[[AnyTrial], None]
    window: int = 131_072
    keepalive_s: float = 10.0
    resume_tries: int = 0
    needs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourResult:
    """How one behaviour turned out.

    Attributes:
        name: The behaviour's.
        holds: None where it could not be tried.
        detail: What happened instead; empty where it holds.
        seconds: How long the try took.
    """

    name: str
    holds: bool | None
    detail: str
    seconds: float


def check(
    contract: Sequence[Behaviour[AnyTrial]], attempt: Callable[[Behaviour[AnyTrial]], None]
) -> Iterator[BehaviourResult]:
    """Try every behaviour, and yield each verdict as it comes.

    Args:
        contract: The table.
        attempt: Tries one in a folder of its own; raises `Broken` where it does not hold.
    """
    for behaviour in contract:
        started = time.monotonic()
        holds: bool | None = True
        detail = ""
        if behaviour.needs and importlib.util.find_spec(behaviour.needs) is None:
            holds, detail = None, f"not tried: the package {behaviour.needs} is not installed"
        else:
            try:
                attempt(behaviour)
            except (Broken, TimeoutError, OSError, ValueError, IndexError) as error:
                holds, detail = False, " ".join(str(error).split())[:400]
        yield BehaviourResult(
            name=behaviour.name, holds=holds, detail=detail, seconds=time.monotonic() - started
        )


def goes_on(lab: AgentTrial, ask: Callable[[str], Any]) -> None:
    """An engine that dies in the middle of an answer and comes back costs no word of it.

    Args:
        lab: The trial.
        ask: Runs the agent with a question; returns its exit code as `code`, its answer as `text`.
    """
    text = "One two three four five six seven."
    lab.upstream.script = killed_in_the_middle(lab.upstream, text, words=3, down_s=_DOWN_S)
    ran = ask("Count.")
    same((ran.code, ran.text), (0, text), "exit code and answer")
    (record,) = (one for one in lab.log_records() if one["kind"] == "main")
    same(record["resume"], "continued", "what the proxy did")
    expect(record["keepalives"] >= 1, "the proxy sent no signs of life")


def expect(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise `Broken` with what happened instead, unless it holds."""
    if not holds:
        raise Broken(what)


def same(found: object, wanted: object, what: str) -> None:
    """Raise `Broken` unless both are equal."""
    expect(found == wanted, f"{what}: {found!r}, not {wanted!r}")
