"""A fixed piece of work before and after a measurement: is the machine still the same one?

A GB10 has slow states that no counter shows. If the same greedy decode takes 5 % longer after
than before, the numbers between are of two machines.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import msgspec

from autosre_lab.bench.machine import memory_pressure
from autosre_lab.bench.request_body import request_body
from autosre_lab.bench.running import run_async
from autosre_lab.bench.statistics import median
from autosre_lab.bench.stream_client import open_http, stream_request
from autosre_lab.bench.target import Target
from autosre_lab.bench.workload import Session, Turn
from autosre_lab.errors import BenchmarkError

__all__ = ["DRIFT_LIMIT", "Canary", "ask_canary", "run_canary"]

DRIFT_LIMIT = 0.05
"""Above this share, the machine is suspect."""

_PROMPT = "Count from one to five hundred in words, separated by commas."


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """One pass of the fixed work.

    Attributes:
        at: When, ISO 8601, UTC.
        tokens: Generated.
        ttft_s: Time to first token.
        tpot_s: Time per output token after the first.
        step_s: Median time between chunks: what drift is judged by, since a hiccup does not move
            it.
        answer_sha256: Of the text: the same model with the same kernels says the same.
        available_bytes: Memory that was available.
        pressure: Share of the last ten seconds in which something waited for memory, 0 to 1; None
            where the kernel does not say.
    """

    at: str
    tokens: int
    ttft_s: float
    tpot_s: float | None
    step_s: float
    answer_sha256: str
    available_bytes: int | None = None
    pressure: float | None = None

    def drift_from(self, other: Canary) -> float:
        """How much longer a step took than in another pass, as a share; negative is faster."""
        return self.step_s / other.step_s - 1 if other.step_s else 0.0

    def suspect_after(self, other: Canary) -> bool:
        """Whether the machine changed between another pass and this one."""
        return abs(self.drift_from(other)) > DRIFT_LIMIT


async def ask_canary(target: Target, *, tokens: int = 256) -> Canary:
    """Do the fixed work once; see `run_canary`."""
    # At the engine itself where its address is known: the canary is about the machine.
    if target.engine_url is not None:
        target = msgspec.structs.replace(target, url=target.engine_url, protocol="chat", token=None)
    turn = Turn(text=_PROMPT, max_tokens=tokens, exact=True)
    session = Session(id="canary", system="You count.", turns=(turn,))
    body = request_body(target, session, [{"role": "user", "content": turn.text}], turn)
    async with open_http(timeout_s=600) as http:
        timing, blocks = await stream_request(http, target, body, session="canary", turn=0)
    # A client that was held up reads many chunks at once, with nothing between them.
    step_s = median(timing.icl_s) or timing.tpot_s
    if timing.failed or timing.ttft_s is None or step_s is None:
        raise BenchmarkError(
            f"the canary got no answer: {timing.error or 'too few tokens'}",
            remedy="`autosre status` says whether the stack runs; then try again",
        )
    available, pressure = _memory()
    return Canary(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        tokens=timing.output_tokens or 0,
        ttft_s=timing.ttft_s,
        tpot_s=timing.tpot_s,
        step_s=step_s,
        answer_sha256=hashlib.sha256(json.dumps(blocks[-1:]).encode()).hexdigest(),
        available_bytes=available,
        pressure=pressure,
    )


def run_canary(target: Target, *, tokens: int = 256) -> Canary:
    """Generate a fixed number of tokens greedily, alone, and time them.

    Args:
        target: What to ask; the engine behind it where that is known.
        tokens: How many to generate.

    Raises:
        BenchmarkError: There was no whole answer.
    """
    return run_async(ask_canary(target, tokens=tokens))


def _memory() -> tuple[int | None, float | None]:
    import psutil

    return psutil.virtual_memory().available, memory_pressure()
