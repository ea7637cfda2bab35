"""The measurements of the proxy benchmark, each interleaved over all contenders.

Every round visits every contender, and the order turns from round to round, so that whatever the
machine does meanwhile meets all of them alike.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from autosre_lab.bench.processes import MeasuredProcess
from autosre_lab.studies.proxy_overhead.bodies import Body
from autosre_lab.studies.proxy_overhead.load import (
    Connection,
    LoadTarget,
    TimedAnswer,
    run_concurrently,
)
from autosre_lab.studies.proxy_overhead.stats import peak_overlap

__all__ = [
    "Burst",
    "Lane",
    "StreamRun",
    "Throughput",
    "measure_cpu",
    "measure_streams",
    "measure_ttft",
    "turning_order",
]

_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Lane:
    """One contender under measurement.

    Attributes:
        name: As the table shows it.
        target: Where it answers.
        process: Its process tree; of the direct way, the upstream's.
        direct: It is the direct way, which takes Chat Completions.
    """

    name: str
    target: LoadTarget
    process: MeasuredProcess
    direct: bool

    def body(self, body: Body, number: int) -> bytes:
        """Return the form of a body that this lane takes."""
        return body.salted(number, direct=self.direct)


@dataclass(frozen=True, slots=True)
class Burst:
    """How much is asked of every contender in one round.

    Attributes:
        requests: Per round.
        concurrency: Of them in flight.
        chunks: Per request.
    """

    requests: int
    concurrency: int
    chunks: int


@dataclass(slots=True)
class Throughput:
    """Raw figures of one contender, one entry a round."""

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRun:
    """What came of many concurrent streams.

    Attributes:
        asked: Streams asked for.
        completed: Streams that ended well with every chunk.
        peak: Streams open at the same moment, from first text to last byte.
        wall_s: From the first request to the last byte.
        cpu_s: CPU of the process tree meanwhile.
        rss_mb: Resident memory of the tree right after.
        faults: What went wrong, one entry a stream.
    """

    asked: int
    completed: int
    peak: int
    wall_s: float
    cpu_s: float
    rss_mb: float
    faults: list[str]


_numbers = itertools.count(1)


def turning_order(lanes: Sequence[Lane], rounds: int) -> Iterator[list[Lane]]:
    """Yield the lanes once a round, each round beginning with the next one, every second reversed.

    Turning alone would leave every lane with the same predecessor for ever.
    """
    for number in range(rounds):
        start = (number // 2) % len(lanes)
        turned = [*lanes[start:], *lanes[:start]]
        yield turned[::-1] if number % 2 else turned


async def measure_ttft(
    lanes: Sequence[Lane], body: Body, *, rounds: int, warm_up: int, progress: Callable[[], None]
) -> tuple[dict[str, list[float]], list[str]]:
    """Measure milliseconds to the first text, one request at a time over kept-alive connections.

    Args:
        lanes: The contenders, the direct way among them.
        body: What to ask.
        rounds: Counted rounds.
        warm_up: Rounds before them that do not count.
        progress: Called after every round.

    Returns:
        One latency a round for each lane, and the faults. A round in which any lane failed is
        left out of all, so that the lists pair up.
    """
    connections = {lane.name: Connection(lane.target) for lane in lanes}
    samples: dict[str, list[float]] = {lane.name: [] for lane in lanes}
    faults: list[str] = []
    try:
        for number, order in enumerate(turning_order(lanes, warm_up + rounds)):
            round_ms: dict[str, float] = {}
            for lane in order:
                answer = await connections[lane.name].stream(
                    lane.body(body, next(_numbers)), timeout_s=_TIMEOUT_S
                )
                if answer.fault is None and answer.ttft_ms is not None:
                    round_ms[lane.name] = answer.ttft_ms
                else:
                    faults.append(f"{lane.name}: {answer.fault or 'no text'}")
            if number >= warm_up and len(round_ms) == len(lanes):
                for name, value in round_ms.items():
                    samples[name].append(value)
            progress()
    finally:
        for connection in connections.values():
            connection.close()
    return samples, faults


async def measure_cpu(
    lanes: Sequence[Lane], body: Body, burst: Burst, *, rounds: int, progress: Callable[[], None]
) -> dict[str, Throughput]:
    """Measure CPU time of each process tree while it carries streams; round 0 is a warm-up."""
    result = {lane.name: Throughput() for lane in lanes}
    for number, order in enumerate(turning_order(lanes, rounds + 1)):
        for lane in order:
            before = lane.process.cpu_s()
            answers, wall_s = await _ask(lane, body, burst)
            after = lane.process.cpu_s()
            into = result[lane.name]
            into.faults += _faults(answers, burst.chunks)
            if number == 0:
                continue
            into.wall_s.append(wall_s)
            into.chunks.append(sum(answer.chunks for answer in answers))
            into.cpu_s.append(after - before)
        progress()
    return result


async def measure_streams(lane: Lane, body: Body, burst: Burst) -> StreamRun:
    """Open many streams at once through one contender and see how many end well."""
    before = lane.process.cpu_s()
    answers, wall_s = await _ask(lane, body, burst)
    faults = _faults(answers, burst.chunks)
    return StreamRun(
        asked=burst.requests,
        completed=len(answers) - len(faults),
        peak=peak_overlap([(a.first_ns, a.ended_ns) for a in answers if a.first_ns is not None]),
        wall_s=wall_s,
        cpu_s=lane.process.cpu_s() - before,
        rss_mb=lane.process.rss_mb(),
        faults=faults,
    )


async def _ask(lane: Lane, body: Body, burst: Burst) -> tuple[list[TimedAnswer], float]:
    # Fresh connections each time: some servers close idle ones after seconds, and the race between
    # that and our next request would be counted against them.
    connections = [Connection(lane.target) for _ in range(burst.concurrency)]
    answers: list[TimedAnswer] = []

    async def job(connection: Connection) -> None:
        content = lane.body(body, next(_numbers))
        answers.append(await connection.stream(content, timeout_s=_TIMEOUT_S))

    started = time.perf_counter()
    try:
        await run_concurrently([job] * burst.requests, connections)
    finally:
        for connection in connections:
            connection.close()
    return answers, time.perf_counter() - started


def _faults(answers: Sequence[TimedAnswer], chunks: int) -> list[str]:
    found = []
    for answer in answers:
        if answer.fault is not None:
            found.append(answer.fault)
        elif answer.chunks != chunks:
            found.append(f"{answer.chunks} of {chunks} chunks arrived")
    return found
