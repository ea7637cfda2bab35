"""Drives a workload's sessions against a target, and keeps every request's times."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from autosre_lab.bench.arrivals import Arrivals, start_times
from autosre_lab.bench.request_body import (
    answer_message,
    input_message,
    request_body,
    scripted_blocks,
)
from autosre_lab.bench.stream_client import open_http, stream_request
from autosre_lab.bench.target import Target
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.bench.workload import Session, Workload
from autosre_lab.proxy.messages.claude_code import AGENT_HEADER, SESSION_HEADER

__all__ = ["LoadRun", "run_load"]

Message = dict[str, Any]
Seen = Callable[[RequestTiming], None]


@dataclass(slots=True)
class LoadRun:
    """What a load brought.

    Attributes:
        timings: Each request, in order of its end.
        unsent: Turns that were not sent, because one before them failed.
        cut: Turns that were not sent, because the time was over.
        started_ns: The run's start, of `time.perf_counter_ns`.
        ended_ns: Its end.
        loop_lag_s: The longest that the client itself was late with anything.
        cpu_s: CPU time of this process during the run.
    """

    timings: list[RequestTiming] = field(default_factory=list)
    unsent: int = 0
    cut: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    loop_lag_s: float = 0.0
    cpu_s: float = 0.0


async def run_load(
    workload: Workload,
    target: Target,
    arrivals: Arrivals,
    *,
    duration_s: float | None = None,
    warmup_s: float = 0.0,
    timeout_s: float = 3600.0,
    seen: Seen | None = None,
) -> LoadRun:
    """Send a workload's requests.

    Args:
        workload: What to send; its subagents run beside their parents.
        target: Where to.
        arrivals: When sessions start.
        duration_s: Start no turn later than this; what runs is let end.
        warmup_s: Requests due before this are sent, and marked as warm-up.
        timeout_s: Seconds that a request may take.
        seen: Called with each request's times when it has ended.

    Returns:
        The times. A request that fails is among them and ends its session.
    """
    http = open_http(timeout_s=timeout_s)
    try:
        driver = _Driver(workload, target, http, duration_s, warmup_s, seen)
        return await driver.run(arrivals)
    finally:
        await http.close()


class _Driver:
    def __init__(
        self,
        workload: Workload,
        target: Target,
        http: aiohttp.ClientSession,
        duration_s: float | None,
        warmup_s: float,
        seen: Seen | None,
    ) -> None:
        self._workload = workload
        self._target = target
        self._http = http
        self._duration_s = duration_s
        self._warmup_s = warmup_s
        self._seen = seen
        self._run = LoadRun()
        self._headers = _identities(workload) if target.protocol == "messages" else {}
        self._subagents: dict[tuple[str, int], list[Session]] = {}
        for session in workload.sessions:
            if session.parent is not None:
                at = (session.parent, session.after_turn)
                self._subagents.setdefault(at, []).append(session)

    async def run(self, arrivals: Arrivals) -> LoadRun:
        roots = [one for one in self._workload.sessions if one.parent is None]
        lag = asyncio.create_task(self._watch_lag())
        cpu = time.process_time()
        self._run.started_ns = time.perf_counter_ns()
        try:
            if arrivals.kind == "closed":
                await self._closed(roots, arrivals.users)
            else:
                await self._open(roots, arrivals)
        finally:
            lag.cancel()
        self._run.ended_ns = time.perf_counter_ns()
        self._run.cpu_s = time.process_time() - cpu
        return self._run

    async def _closed(self, roots: Sequence[Session], users: int) -> None:
        queue = iter(roots)

        async def user() -> None:
            for session in queue:
                await self._session(session, time.perf_counter_ns())

        async with asyncio.TaskGroup() as group:
            for _ in range(min(users, len(roots))):
                group.create_task(user())

    async def _open(self, roots: Sequence[Session], arrivals: Arrivals) -> None:
        recorded = arrivals.kind == "recorded"
        times = [one.start_s for one in roots] if recorded else start_times(arrivals, len(roots))
        async with asyncio.TaskGroup() as group:
            for session, start_s in zip(roots, times, strict=True):
                due_ns = self._run.started_ns + round(start_s * 1e9)
                group.create_task(self._session(session, due_ns))

    async def _session(self, session: Session, due_ns: int) -> None:
        history: list[Message] = []
        previous: list[Message] = []
        for index, turn in enumerate(session.turns):
            if self._too_late(due_ns):
                self._run.cut += len(session.turns) - index
                return
            await _sleep_until(due_ns)
            history.append(input_message(turn, previous))
            timing, blocks = await stream_request(
                self._http,
                self._target,
                request_body(self._target, session, history, turn),
                session=session.id,
                turn=index,
                scheduled_ns=due_ns,
                headers=self._headers.get(session.id),
            )
            timing.warmup = due_ns - self._run.started_ns < self._warmup_s * 1e9
            self._run.timings.append(timing)
            if self._seen is not None:
                self._seen(timing)
            if timing.failed:
                # What follows would build on an answer that was never given.
                self._run.unsent += len(session.turns) - index - 1
                return
            if self._workload.history == "scripted":
                blocks = scripted_blocks(session, index)
            previous = blocks
            history.append(answer_message(blocks))
            await self._run_subagents(session.id, index)
            if index + 1 < len(session.turns):
                due_ns = time.perf_counter_ns() + round(session.turns[index + 1].wait_s * 1e9)

    async def _run_subagents(self, session: str, turn: int) -> None:
        # The call that starts a subagent returns when it has ended.
        if started := self._subagents.get((session, turn)):
            now = time.perf_counter_ns()
            await asyncio.gather(*(self._session(one, now) for one in started))

    def _too_late(self, due_ns: int) -> bool:
        if self._duration_s is None:
            return False
        return max(due_ns, time.perf_counter_ns()) > self._run.started_ns + self._duration_s * 1e9

    async def _watch_lag(self) -> None:
        step_s = 0.05
        while True:
            due = time.perf_counter() + step_s
            await asyncio.sleep(step_s)
            self._run.loop_lag_s = max(self._run.loop_lag_s, time.perf_counter() - due)


def _identities(workload: Workload) -> dict[str, dict[str, str]]:
    """Return the headers by which Claude Code tells its sessions and subagents apart.

    Ids are new in each run. Without them the proxy knows no session, and counts every prompt again.
    """
    run = uuid.uuid4()
    parents = {one.id: one.parent for one in workload.sessions}
    headers: dict[str, dict[str, str]] = {}
    for session in parents:
        root = session
        while (parent := parents.get(root)) is not None:
            root = parent
        headers[session] = {SESSION_HEADER: str(uuid.uuid5(run, root))}
        if root != session:
            headers[session][AGENT_HEADER] = uuid.uuid5(run, session).hex[:16]
    return headers


async def _sleep_until(due_ns: int) -> None:
    left_s = (due_ns - time.perf_counter_ns()) / 1e9
    if left_s > 0:
        await asyncio.sleep(left_s)
