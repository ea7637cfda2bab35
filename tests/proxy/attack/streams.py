"""Streams of an engine: whatever comes, the client gets a legal answer or an error in words."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Any, cast

import aiohttp

from autosre_lab.proxy.chat_stream import UpstreamStreamError
from autosre_lab.proxy.dialect import AnswerStream
from autosre_lab.proxy.engine_answer import EngineAnswer
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import broken_stream
from autosre_lab.scripted.turns import ToolCall, Turn, chunks_of
from tests.proxy.attack.bodies import DIALECTS
from tests.proxy.attack.mutation import changed, cut_up, respelled
from tests.proxy.event_grammar import events_of, read_stream
from tests.proxy.responses.reading import read_stream as read_responses

__all__ = ["check_events", "odd_stream", "try_stream"]

_ENGINE = EngineProfile(model="m", max_model_len=8192)
_BODIES: dict[str, dict[str, Any]] = {
    "messages": {"max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"input": "hi"},
}
_ASKS = {
    name: dialect.decode(json.dumps({"model": "m", "stream": True, **_BODIES[name]}).encode(), {})
    for name, dialect in DIALECTS.items()
}
_TURNS = [
    Turn(text="Hello there, how are you 👍 today"),
    Turn(text="<think>hm, \n so</think> the answer", cached_tokens=7),
    Turn(thinking="some thoughts first", text="then text"),
    Turn(text="", finish_reason="length"),
    Turn(
        text="I look.",
        tool_calls=[
            ToolCall(name="Read", arguments='{"path": "/a", "n": [1, {"x": "}"}]}', fragments=5),
            ToolCall(name="Write", arguments='{"text": "\\ud83d\\udc4d {"}', fragments=4),
            ToolCall(name="Read", arguments="not json", fragments=2),
        ],
        interleave=True,
    ),
    Turn(tool_calls=[ToolCall(name="Bash", arguments='{"command":"ls"}', fragments=1)]),
]
_ENDS = [b"data: [DONE]\n\n", b"data: [DONE]", b"", b"data: {", b"\n", b": x\n\n", b"data:\n\n"]


def odd_stream(random: Random) -> list[bytes]:
    """Return a stream of an engine that has something wrong with it, in pieces."""
    turn = random.choice(_TURNS)
    chunks: list[Any] = list(chunks_of(turn, prompt_tokens=31))
    if random.random() < 0.8:
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(chunks))
            chunks[at] = changed(chunks[at], random, random.randint(1, 3))
    if random.random() < 0.2:
        random.shuffle(chunks)
    if random.random() < 0.1:  # one JSON object instead
        message = {"role": "assistant", "content": "whole", "tool_calls": None}
        chunks = [{"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}}]
        data = json.dumps(changed(chunks[0], random, random.randint(0, 2))).encode()
    else:
        between = random.choice([b"\n\n", b"\n\n", b"\n\n", b"\n", b"\r\n\r\n", b"\r\r"])
        lines = [b"data: " + json.dumps(chunk).encode() for chunk in chunks]
        data = between.join([*lines, random.choice(_ENDS)])
    if random.random() < 0.4:
        data = respelled(data, random, random.randint(1, 3))
    return cut_up(data, random, 8)


def try_stream(name: str, random: Random) -> str:
    """Translate an odd stream for one dialect.

    Returns:
        "whole" or "error": how the client's stream ends; "refused" where it has not begun.
        Everything else is raised.
    """
    dialect = DIALECTS[name]
    stream = dialect.answer(_ASKS[name], "req_1", _ENGINE, window_limited=False)
    pieces = odd_stream(random)
    silent = {at for at in range(len(pieces)) if random.random() < 0.05}
    events, ended = _run(_translated(stream, pieces, silent))
    if not events:
        return "refused"
    check_events(name, events, ended)
    assert min(stream.counts.computed, stream.counts.cached, stream.counts.output) >= 0
    if ended:
        json.loads(stream.whole())
    return "whole" if ended else "error"


async def _translated(
    stream: AnswerStream, pieces: list[bytes], silent: set[int]
) -> tuple[bytes, bool]:
    answer = EngineAnswer(cast("aiohttp.ClientResponse", _Response(pieces)), stream)
    events, read = b"", 0
    try:
        while (piece := await answer.read()) is not None:
            events += answer.take(piece)
            if read in silent:
                events += stream.start(3) + stream.keepalive()
            read += 1
    except UpstreamStreamError as error:
        assert error.message
        if stream.finish_reason is None:
            return events and events + stream.refuse(broken_stream(error.message)), False
    if stream.finish_reason is None:
        return events and events + stream.refuse(broken_stream("no reason to stop")), False
    return events + stream.finish(), True


def check_events(name: str, events: bytes, ended: bool) -> None:
    """Raise an AssertionError where a client's stream is not what its protocol says."""
    if name == "responses":
        read = read_responses(events)
        assert (read.last["type"] != "response.failed") == ended
    elif ended:
        read_stream(events)
    else:
        last = events_of(events)[-1]
        assert last["type"] == "error"
        assert last["error"]["message"]


class _Response:
    """As much of an HTTP answer as `EngineAnswer` reads."""

    content_type = "text/event-stream"
    headers: Mapping[str, str] = {}

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = deque(piece for piece in pieces if piece)
        self.content = self

    async def readany(self) -> bytes:
        return self._pieces.popleft() if self._pieces else b""


_loop = asyncio.new_event_loop()
_run = _loop.run_until_complete
