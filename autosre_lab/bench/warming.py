"""Requests before anything is measured, so that no measured one pays for a first time.

The first request after a start is slower, and so is the first prompt of a new size: kernels are
compiled for ranges of sizes. On an H100 with a mixture of experts the first prompts of 300 tokens
took 797 ms, later ones 125 ms.
"""

from __future__ import annotations

import random

from autosre_lab.bench.arrivals import Arrivals
from autosre_lab.bench.load import run_load
from autosre_lab.bench.synthetic.text import prose
from autosre_lab.bench.target import Target
from autosre_lab.bench.workload import Session, SessionTurn, Workload
from autosre_lab.errors import BenchmarkError

__all__ = ["warm_up", "warm_up_sizes"]

_SIZES = (64, 256, 1024, 4096)
_CHARS_PER_TOKEN = 5
_LIMIT = 4096
"""Larger prompts are computed in steps of at most some thousand tokens, which these have."""


def warm_up_sizes(workload: Workload) -> list[int]:
    """Return the sizes of prompts to send first, in tokens: up to the workload's largest."""
    largest = max((_size(one) for one in workload.sessions), default=0)
    if largest < _SIZES[0]:
        return []
    return [*(size for size in _SIZES if size < largest), min(largest, _LIMIT)]


async def warm_up(workload: Workload, target: Target, *, timeout_s: float) -> None:
    """Send a short question, then prompts of several sizes, each of a text of its own.

    Raises:
        BenchmarkError: Not even the first is answered.
    """
    sessions = [_session("first", "Say hello.")]
    rng = random.SystemRandom()  # never what an earlier run has left in the prefix cache
    sessions += [_session(f"first-{size}", prose(size, rng)) for size in warm_up_sizes(workload)]
    for one in sessions:
        alone = Workload(name="warm-up", seed=0, parameters={}, sessions=(one,))
        run = await run_load(alone, target, Arrivals(), timeout_s=timeout_s)
        if one.id == "first" and run.timings[0].failed:
            raise BenchmarkError(
                f"{target.url} does not answer: {run.timings[0].error}",
                remedy="`autosre status` says whether the stack runs; start it, or correct the URL",
            )


def _session(name: str, text: str) -> Session:
    return Session(id=name, system="You greet.", turns=(SessionTurn(text=text, max_tokens=2),))


def _size(session: Session) -> int:
    """About how many tokens a session's largest prompt has, by its characters."""
    chars = len(session.system) + sum(len(str(tool)) for tool in session.tools)
    chars += sum(len(turn.text) for turn in session.turns)
    return chars // _CHARS_PER_TOKEN
