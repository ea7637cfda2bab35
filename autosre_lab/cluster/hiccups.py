"""A server that does not answer for a moment is no reason to give up a wait of half an hour.

On one box the API server shares memory and disk with the engine that loads its weights: it is then
slow, or starts again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from autosre_lab.cluster.clock import Clock
from autosre_lab.errors import KubeError

__all__ = ["PATIENCE_S", "is_hiccup", "through_hiccups"]

PATIENCE_S = 60.0
"""Seconds without an answer after which the server counts as gone."""
BETWEEN_S = 2.0

Answer = TypeVar("Answer")


def is_hiccup(error: KubeError) -> bool:
    """Whether the server may answer when it is asked again."""
    unreachable = error.status == 0 and error.reason == "Unreachable"
    return unreachable or error.status == 429 or error.status >= 500


def through_hiccups(
    ask: Callable[[], Answer],
    *,
    clock: Clock,
    tell: Callable[[str], None] = lambda _: None,
    patience_s: float = PATIENCE_S,
) -> Answer:
    """Ask until the server answers.

    Args:
        ask: The request; it must be one that only reads.
        clock: Where time comes from.
        tell: Given a few words while there is no answer.
        patience_s: Seconds until the server counts as gone.

    Raises:
        KubeError: It refused, or did not answer in all that time.
    """
    deadline_s = clock.monotonic() + patience_s
    while True:
        try:
            return ask()
        except KubeError as error:
            if not is_hiccup(error) or clock.monotonic() >= deadline_s:
                raise
            tell(f"the API server does not answer: {error.message}")
            clock.sleep(BETWEEN_S)
