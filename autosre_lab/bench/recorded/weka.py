"""Traces in the weka v1 format, which aiperf, guidellm and inference-perf replay too.

A trace has sizes, times and the ids of 64-token blocks, equal where prompts are equal; no text.
`<https://github.com/callanjfox/kv-cache-tester>`_ describes the format.
"""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from autosre_lab.bench.recorded.request import RecordedRequest, RecordedSession
from autosre_lab.bench.synthetic.text import prose
from autosre_lab.bench.workload import Session, SessionTurn, Workload
from autosre_lab.errors import BenchmarkError
from autosre_lab.private_files import write_whole

__all__ = ["WekaTrace", "read_weka", "weka_trace", "workload_from_weka", "write_weka"]

BLOCK = 64

MAX_BYTES = 256 * 1024**2
"""Largest file read: 100,000 requests of long sessions have less."""

MAX_MADE_TOKENS = 50_000_000
"""Most tokens of text made for one trace: some 200 MB."""

_Tokens = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Block = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class _Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    t: _Seconds
    type: Literal["n", "s"]
    model: str
    input_length: _Tokens = msgspec.field(name="in")
    output_length: _Tokens = msgspec.field(name="out")
    hash_ids: list[_Block] = []
    input_types: list[str] = []
    output_types: list[str] = []
    stop: str = ""
    api_time: _Seconds | None = None
    think_time: _Seconds | None = None
    ttft: _Seconds | None = None


class _Subagent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    t: _Seconds
    type: Literal["subagent"]
    agent_id: str
    subagent_type: str
    status: str
    requests: list[_Request]
    models: list[str]
    duration_ms: int | None = None
    total_tokens: int | None = None
    tool_use_count: int | None = None
    tool_tokens: int = 0
    system_tokens: int = 0


class WekaTrace(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One session's trace.

    Attributes:
        id: The session's.
        models: Names that were asked for.
        block_size: Tokens of a block.
        hash_id_scope: Block ids are the trace's own.
        requests: Requests and subagents, in order.
        tool_tokens: Of the tools' part of the prefix; 0 where unknown.
        system_tokens: Of the system prompt's; 0 where unknown.
        totals: A summary that nobody has to read.
    """

    id: str
    models: list[str]
    block_size: Annotated[int, msgspec.Meta(ge=1, le=65_536)]
    hash_id_scope: Literal["local"]
    requests: list[dict[str, Any]]
    tool_tokens: int = 0
    system_tokens: int = 0
    totals: dict[str, Any] | None = None

    def entries(self) -> list[_Request | _Subagent]:
        """Return the requests, typed."""
        return [
            msgspec.convert(one, _Subagent)
            if one.get("type") == "subagent"
            else msgspec.convert(one, _Request)
            for one in self.requests
        ]


def weka_trace(session: RecordedSession) -> WekaTrace:
    """Return a session as a trace; no text goes into it.

    A prompt that is at least as long as the one before is taken to begin with it and its answer,
    as a growing conversation's does. A shorter one, after a compaction, begins with what the
    prefix cache had of it.
    """
    start_s = session.requests[0].start_s
    blocks = _Blocks()
    entries: list[Any] = []
    seen: set[str] = set()
    previous: RecordedRequest | None = None
    for request in session.requests:
        if not request.agent:
            entries.append(_entry(request, previous, start_s, blocks.of("", request)))
            previous = request
        elif request.agent not in seen:
            seen.add(request.agent)
            entries.append(_subagent(session.of_agent(request.agent), start_s, blocks))
    return WekaTrace(
        id=session.id,
        models=sorted({one.model for one in session.requests}),
        block_size=BLOCK,
        hash_id_scope="local",
        requests=[msgspec.to_builtins(entry) for entry in entries],
    )


def write_weka(trace: WekaTrace, path: str | Path) -> Path:
    """Write a trace.

    Returns:
        The file; its folder is made.
    """
    content = msgspec.to_builtins(trace)
    if trace.totals is None:
        del content["totals"]
    return write_whole(Path(path), json.dumps(content))


def read_weka(path: str | Path) -> WekaTrace:
    """Read a trace and check all of it.

    Raises:
        BenchmarkError: It is not one, or larger than a trace can be.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise BenchmarkError(
                f"{path} is larger than {MAX_BYTES // 1024**2} MB",
                remedy="give the trace of one session",
            )
        trace = msgspec.json.decode(data, type=WekaTrace)
        trace.entries()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BenchmarkError(
            f"{path} is not a weka v1 trace: {error}",
            remedy="give a file that `autosre bench export` or kv-cache-tester wrote",
        ) from error
    return trace


def workload_from_weka(trace: WekaTrace, *, scale: float = 1.0) -> Workload:
    """Return a trace as a workload: texts are made up, equal where block ids are.

    Args:
        trace: The trace.
        scale: Of every number of tokens, for small windows.

    Raises:
        BenchmarkError: The trace has no request, or too much text to be made for it.
    """
    chains: list[Session] = []
    main: list[_Request] = []
    parents: list[tuple[_Subagent, int]] = []
    for entry in trace.entries():
        if isinstance(entry, _Subagent):
            parents.append((entry, max(0, len(main) - 1)))
        else:
            main.append(entry)
    _check_size(trace, [main, *(agent.requests for agent, _ in parents)], scale)
    first = [
        _chain(trace, f"{trace.id}-{number}" if number else trace.id, part, scale)
        for number, part in enumerate(_growing(main))
    ]
    chains += first
    for agent, turn in parents:
        # Which chain of the parent that turn is in, and where in it.
        at, home = turn, 0
        while home < len(first) - 1 and at >= len(first[home].turns):
            at -= len(first[home].turns)
            home += 1
        for number, part in enumerate(_growing(agent.requests)):
            child = _chain(trace, f"{trace.id}-{agent.agent_id}-{number}", part, scale)
            parent = first[home].id if first else None
            chains.append(msgspec.structs.replace(child, parent=parent, after_turn=at))
    if not chains:
        raise BenchmarkError(f"trace {trace.id} has no request", remedy="give another trace")
    return Workload(
        name="replay",
        seed=0,
        parameters={"trace": trace.id, "scale": scale},
        sessions=tuple(chains),
        history="scripted",
    )


def _check_size(trace: WekaTrace, parts: list[list[_Request]], scale: float) -> None:
    """Add up what is made, before any of it is."""
    made = 0
    for chain in (chain for part in parts for chain in _growing(part)):
        made += chain[0].input_length + sum(one.output_length for one in chain)
        for before, after in pairwise(chain):
            made += max(4, after.input_length - before.input_length)
    if made * scale > MAX_MADE_TOKENS:
        raise BenchmarkError(
            f"trace {trace.id} holds {made:,} tokens of text, more than {MAX_MADE_TOKENS:,}",
            remedy="take fewer of its requests, or a smaller scale",
        )


class _Blocks:
    """Gives each prompt its block ids, the same where it begins as an earlier one did."""

    def __init__(self) -> None:
        self._next = 0
        self._last: dict[str, tuple[RecordedRequest, list[int]]] = {}

    def of(self, agent: str, request: RecordedRequest) -> list[int]:
        kept: list[int] = []
        if agent in self._last:
            before, ids = self._last[agent]
            grown = request.input_tokens >= before.input_tokens
            shared = before.input_tokens if grown else request.cached_tokens
            kept = ids[: min(shared, request.input_tokens) // BLOCK]
        ids = list(kept)
        while len(ids) < -(-request.input_tokens // BLOCK):
            ids.append(self._next)
            self._next += 1
        self._last[agent] = (request, ids)
        return ids


def _entry(
    request: RecordedRequest, previous: RecordedRequest | None, start_s: float, ids: list[int]
) -> _Request:
    think = None
    if previous is not None:
        think = round(max(0.0, request.start_s - previous.end_s), 3)
    return _Request(
        t=round(request.start_s - start_s, 3),
        type="s",
        model=request.model,
        input_length=request.input_tokens,
        output_length=request.output_tokens,
        hash_ids=ids,
        stop=request.stop if request.stop in ("tool_use", "end_turn") else "",
        api_time=round(request.end_s - request.start_s, 3),
        think_time=think,
        ttft=request.ttft_s,
    )


def _subagent(requests: list[RecordedRequest], start_s: float, blocks: _Blocks) -> _Subagent:
    first, last = requests[0], requests[-1]
    entries = [
        _entry(one, requests[at - 1] if at else None, start_s, blocks.of(one.agent, one))
        for at, one in enumerate(requests)
    ]
    return _Subagent(
        t=round(first.start_s - start_s, 3),
        type="subagent",
        agent_id=first.agent,
        subagent_type="agent",
        status="completed",
        requests=entries,
        models=sorted({one.model for one in requests}),
        duration_ms=round((last.end_s - first.start_s) * 1e3),
        total_tokens=sum(one.input_tokens + one.output_tokens for one in requests),
        tool_use_count=sum(one.stop == "tool_use" for one in requests),
    )


def _growing(requests: list[_Request]) -> list[list[_Request]]:
    """Cut where a prompt does not begin with the one before: a compaction, or a side request."""
    chains: list[list[_Request]] = []
    for request in requests:
        before = chains[-1][-1] if chains else None
        if before is not None and _shared(before, request) >= len(before.hash_ids) - 1:
            chains[-1].append(request)
        else:
            chains.append([request])
    return chains


def _shared(a: _Request, b: _Request) -> int:
    count = 0
    for one, other in zip(a.hash_ids, b.hash_ids, strict=False):
        if one != other:
            break
        count += 1
    return count


def _chain(trace: WekaTrace, name: str, requests: list[_Request], scale: float) -> Session:
    turns = []
    for at, request in enumerate(requests):
        before = requests[at - 1] if at else None
        if before is None:
            fresh = min(request.input_length, 2 * trace.block_size)
        else:
            fresh = request.input_length - before.input_length - before.output_length
        rng = random.Random(f"{trace.id} {name} {at}")  # noqa: S311 - a text, not a secret
        turns.append(
            SessionTurn(
                text=prose(max(4, round(fresh * scale)), rng),
                max_tokens=max(1, round(request.output_length * scale)),
                wait_s=_wait_s(before, request),
                answer=prose(max(1, round(request.output_length * scale)), rng),
            )
        )
    prefix = requests[0].input_length - 2 * trace.block_size
    return Session(
        id=name,
        system=_prefix_text(trace, requests[0].hash_ids, prefix, scale),
        turns=tuple(turns),
        start_s=requests[0].t,
    )


def _prefix_text(trace: WekaTrace, ids: list[int], tokens: int, scale: float) -> str:
    """A text for each block id, so that prompts that shared blocks share a beginning."""
    size = max(4, round(trace.block_size * scale))
    texts = [
        prose(size, random.Random(f"{trace.id} block {block}"))  # noqa: S311
        for block in ids[: max(0, tokens) // trace.block_size]
    ]
    return "\n".join(texts) or "You are a helpful assistant."


def _wait_s(before: _Request | None, request: _Request) -> float:
    if before is None:
        return 0.0
    if request.think_time is not None:
        return max(0.0, request.think_time)
    return max(0.0, round(request.t - before.t - (before.api_time or 0.0), 3))
