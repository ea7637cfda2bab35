"""Sends one request and times its stream, at little cost of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec

from autosre_lab.bench.request_body import endpoint_path
from autosre_lab.bench.stream_events import AnswerReader, reader_for
from autosre_lab.bench.target import Target
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.proxy.server_events import EventTooLargeError, ServerEvents

__all__ = ["open_http", "stream_request"]

_SHOWN_CHARS = 300

_GRACE_S = 0.05
"""Seconds a connection has to end behind the last event; later, it is not used again."""


def open_http(*, timeout_s: float = 3600.0) -> aiohttp.ClientSession:
    """Return the HTTP client that `stream_request` needs; close it when done.

    Connections are unlimited: a client that queues requests would hide how late they are.

    Args:
        timeout_s: Seconds that a whole request may take.
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_sent)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=3600, keepalive_timeout=60),
        timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=10),
        trace_configs=[trace],
        # A target on this machine or in its cluster is never behind the user's web proxy.
        trust_env=False,
        auto_decompress=False,
        read_bufsize=1 << 20,
    )


async def _sent(
    _: aiohttp.ClientSession,
    context: SimpleNamespace,
    __: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    context.trace_request_ctx.sent_ns = time.perf_counter_ns()


async def stream_request(
    http: aiohttp.ClientSession,
    target: Target,
    body: Mapping[str, Any] | bytes,
    *,
    session: str,
    turn: int,
    scheduled_ns: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[RequestTiming, list[dict[str, Any]]]:
    """Send a request and read its stream to the end. Failures are results, not exceptions.

    Args:
        http: From `open_http`.
        target: Where to.
        body: The request; see `request_body`.
        session: For the record.
        turn: For the record.
        scheduled_ns: When it was due, of `time.perf_counter_ns`; now by default.
        headers: Beside those of the API.

    Returns:
        Its times, and the answer's content blocks in Anthropic's form.
    """
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    now = time.perf_counter_ns()
    timing = RequestTiming(
        session=session,
        turn=turn,
        scheduled_ns=now if scheduled_ns is None else scheduled_ns,
        sent_ns=now,
    )
    reader = reader_for(target.protocol, timing)
    try:
        await _exchange(http, target, data, timing, reader, headers or {})
    except TimeoutError:
        _fail(timing, reader, "no end in time")
    except (aiohttp.ClientError, OSError) as error:
        _fail(timing, reader, f"{type(error).__name__}: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError, EventTooLargeError) as error:
        _fail(timing, reader, f"an event that is not the API's: {error}")
    timing.ended_ns = time.perf_counter_ns() if timing.ended_ns is None else timing.ended_ns
    return timing, reader.blocks()


def _fail(timing: RequestTiming, reader: AnswerReader, said: str) -> None:
    # What breaks behind the last event takes nothing from the answer.
    if not reader.finished:
        timing.error = timing.error or said[:_SHOWN_CHARS]


async def _exchange(
    http: aiohttp.ClientSession,
    target: Target,
    data: bytes,
    timing: RequestTiming,
    reader: AnswerReader,
    more: Mapping[str, str],
) -> None:
    headers = {"content-type": "application/json", "accept": "text/event-stream", **more}
    if target.protocol == "messages":
        headers["anthropic-version"] = "2023-06-01"
    if target.token:
        headers["authorization"] = f"Bearer {target.token}"
    url = target.url.rstrip("/") + endpoint_path(target)
    async with http.post(
        url, data=data, headers=headers, trace_request_ctx=timing, allow_redirects=False
    ) as response:
        timing.status = response.status
        if response.status != 200:
            said = (await response.content.read(4000)).decode("utf-8", "replace")
            timing.error = f"HTTP {response.status}: {said}"[:_SHOWN_CHARS]
            return
        events = ServerEvents()
        while True:
            piece = await response.content.readany()
            now = time.perf_counter_ns()
            for event in events.feed(piece) if piece else events.flush():
                reader.event(event, now)
            if reader.finished and timing.ended_ns is None:
                timing.ended_ns = now
            if not piece:
                break
            if events.done:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_GRACE_S):
                        await response.content.readany()
                break
    if not reader.finished and not timing.error:
        timing.error = "the stream ended before its last event"
