"""A fixed piece of work before and after a measurement: is the machine still the same one?

A GB10 has slow states that no counter shows, in which each step takes half as long again: numbers
from before and after such a change are of two machines. Other machines vary by themselves: twelve
runs on an idle H100 took 1.46 to 2.12 ms a step. So the work is done several times in a row, and a
change counts only where it is larger than what the machine shows without any.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from autosre_lab.bench.machine import memory_pressure
from autosre_lab.bench.request_body import request_body
from autosre_lab.bench.running import run_async
from autosre_lab.bench.statistics import median
from autosre_lab.bench.stream_client import open_http, stream_request
from autosre_lab.bench.target import Badge, Target
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.bench.workload import Session, SessionTurn
from autosre_lab.errors import BenchmarkError

__all__ = ["DRIFT_LIMIT", "MachineCheck", "check_machine", "check_tokens_for", "run_machine_check"]

DRIFT_LIMIT = 0.05
"""A change below this share is never suspect."""

PASSES = 5
"""How often the work is done: two machines of one kind overlap in one of hundreds of checks."""

_LEAST_TOKENS = 4
_PROMPT = "Count from one to five hundred in words, separated by commas."


class MachineCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The fixed work, done several times.

    Attributes:
        at: When, ISO 8601, UTC.
        tokens: Generated, all passes together.
        ttft_s: Time to first token, median of the passes.
        tpot_s: Time per output token after the first, likewise.
        step_s: Median time between chunks, likewise: what drift is judged by, since a hiccup does
            not move it.
        passes: The median time between chunks of each pass, less those whose answer came in one
            piece, as on a machine that is too busy to read it while it comes.
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
    passes: tuple[float, ...] = ()
    available_bytes: int | None = None
    pressure: float | None = None

    @property
    def spread(self) -> float | None:
        """How far its own passes lie apart, as a share of their median; None below three."""
        if len(self.passes) < 3 or not self.step_s:
            return None
        return (max(self.passes) - min(self.passes)) / self.step_s

    def drift_from(self, other: MachineCheck) -> float:
        """How much longer a step took than in another check, as a share; negative is faster."""
        return self.step_s / other.step_s - 1 if other.step_s else 0.0

    def limit_with(self, other: MachineCheck) -> float | None:
        """Return the drift that the machine shows by itself; None where a check has no spread."""
        if self.spread is None or other.spread is None:
            return None
        return max(DRIFT_LIMIT, self.spread, other.spread)

    def suspect_after(self, other: MachineCheck) -> bool:
        """Whether the machine changed between another check and this one."""
        limit = self.limit_with(other)
        return limit is not None and abs(self.drift_from(other)) > limit


def check_tokens_for(badge: Badge) -> int:
    """Return how many tokens a check generates: fewer where a GPU's would take ten seconds."""
    return 32 if badge in ("cpu-engine", "scripted") else 256


async def check_machine(target: Target, *, tokens: int = 256) -> MachineCheck:
    """Do the fixed work; see `run_machine_check`."""
    each = max(_LEAST_TOKENS, tokens // PASSES)
    # At the engine itself where its address is known: the check is about the machine.
    if target.engine_url is not None:
        target = target.at_engine("chat")
    turn = SessionTurn(text=_PROMPT, max_tokens=each, exact=True)
    session = Session(id="machine-check", system="You count.", turns=(turn,))
    body = request_body(target, session, [{"role": "user", "content": turn.text}], turn)
    timings: list[RequestTiming] = []
    blocks: list[dict[str, object]] = []
    async with open_http(timeout_s=600) as http:
        for number in range(PASSES):
            timing, blocks = await stream_request(
                http, target, body, session="machine-check", turn=number
            )
            timings.append(timing)
    steps = [_step_s(one) for one in timings]
    passes = [step_s for step_s in steps if step_s is not None]
    if not passes:
        raise BenchmarkError(
            "the machine check saw every answer in one piece, so no step could be timed",
            remedy="stop what else keeps this machine busy, then try again",
        )
    answer = hashlib.sha256(json.dumps(blocks[-1:]).encode()).hexdigest()
    return _checked(timings, passes, answer)


def run_machine_check(target: Target, *, tokens: int = 256) -> MachineCheck:
    """Generate a fixed number of tokens greedily, alone, and time them.

    Args:
        target: What to ask; the engine behind it where that is known.
        tokens: How many to generate, all passes together.

    Raises:
        BenchmarkError: There was no whole answer.
    """
    return run_async(check_machine(target, tokens=tokens))


def _step_s(timing: RequestTiming) -> float | None:
    """Return a pass's time between chunks; None where the whole answer came in one piece."""
    if timing.failed or timing.ttft_s is None:
        raise BenchmarkError(
            f"the machine check got no answer: {timing.error or 'no token came'}",
            remedy="`autosre status` says whether the stack runs; then try again",
        )
    # A client that was held up reads many chunks at once, with nothing between them.
    return median(timing.icl_s) or timing.tpot_s


def _checked(
    timings: Sequence[RequestTiming], passes: Sequence[float], answer_sha256: str
) -> MachineCheck:
    import psutil

    return MachineCheck(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        tokens=sum(one.output_tokens or 0 for one in timings),
        ttft_s=median([one.ttft_s or 0.0 for one in timings]) or 0.0,
        tpot_s=median([one.tpot_s for one in timings if one.tpot_s is not None]),
        step_s=median(passes) or 0.0,
        passes=tuple(passes),
        answer_sha256=answer_sha256,
        available_bytes=psutil.virtual_memory().available,
        pressure=memory_pressure(),
    )
