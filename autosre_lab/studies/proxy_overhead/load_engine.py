"""The engine's stand-in for load: `python -m autosre_lab.studies.proxy_overhead.load_engine PORT`.

It speaks just enough of vLLM's API to stream as many chunks as a request's own text asks for, and
it is written on bare protocols because it shares two cores with what is measured. For scripted
turns, errors and recorded requests there is `autosre_lab.scripted.chat_engine`.

Chunks look like vLLM's, with token counts in each where the request asks for them. A burst writes
one chunk of each stream per turn of the event loop, so that streams interleave and a slow reader
finds several chunks at once, as it would behind a real engine.
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass

from autosre_lab.scripted.raw_http import (
    STREAM_HEAD,
    RawExchange,
    http_chunk,
    serve_raw,
    spread_start,
)

__all__ = ["Directive", "main", "read_directive"]

MAX_MODEL_LEN = 262_144
_MODEL = "scripted-model"
_TEXTS = [f" zqx{number:02d}" for number in range(100)]
"""Unlike each other: LiteLLM breaks off a stream that says the same a hundred times."""

_PROMPT_TOKENS = 20_000
_CHUNK_HEAD = (
    b'"id":"chatcmpl-0","object":"chat.completion.chunk","created":1,"model":"scripted-model"'
)
_DIRECTIVE = re.compile(rb"\[\[chunks=(\d+) interval_ms=(\d+)")
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_USAGE = re.compile(rb'"include_usage"\s*:\s*true')
_USAGE_EACH = re.compile(rb'"continuous_usage_stats"\s*:\s*true')


@dataclass(frozen=True, slots=True)
class Directive:
    """How a request wants to be answered.

    Attributes:
        chunks: Chunks of text.
        interval_s: Seconds between two of them.
        stream: As events rather than one object.
        usage: With token counts in a chunk of their own at the end.
        usage_each: With token counts in every chunk.
    """

    chunks: int
    interval_s: float
    stream: bool
    usage: bool
    usage_each: bool


def read_directive(body: bytes) -> Directive:
    """Return what a request's text and stream options ask for; one chunk if they do not say."""
    found = _DIRECTIVE.search(body)
    return Directive(
        chunks=int(found[1]) if found else 1,
        interval_s=int(found[2]) / 1e3 if found else 0.0,
        stream=_STREAM.search(body) is not None,
        usage=_USAGE.search(body) is not None,
        usage_each=_USAGE_EACH.search(body) is not None,
    )


class _Exchange(RawExchange):
    def answer(self, path: str, body: bytes) -> None:
        """Answer a request as vLLM would."""
        if path == "/v1/chat/completions":
            directive = read_directive(body)
            if directive.stream:
                self._stream(directive)
            else:
                self.send_json(200, _completion(directive))
        elif path == "/v1/models":
            card = {"id": _MODEL, "object": "model", "max_model_len": MAX_MODEL_LEN, "root": _MODEL}
            self.send_json(200, {"object": "list", "data": [card]})
        elif path == "/tokenize":
            count = len(body) // 4
            self.send_json(200, {"count": count, "max_model_len": MAX_MODEL_LEN, "tokens": []})
        elif path == "/version":
            self.send_json(200, {"version": "0.0.0+scripted"})
        elif path in ("/health", "/metrics"):
            self.send(200, b"", b"text/plain")
        else:
            self.send_json(404, {"error": {"message": "not scripted", "code": 404}})

    def _stream(self, directive: Directive) -> None:
        loop = asyncio.get_running_loop()
        each = directive.usage_each
        first = _chunk(b'{"role":"assistant","content":""}', usage=_usage(0) if each else b"")
        self.write(STREAM_HEAD + first)
        sent = 0
        due_s = loop.time() + spread_start(directive.interval_s)

        def step() -> None:
            nonlocal sent, due_s
            if not self.open:  # the client went away
                return
            if not self.writable:
                self.when_writable(step)
                return
            if sent == directive.chunks:
                self._finish(directive)
                return
            at = sent % len(_TEXTS)
            sent += 1
            self.write(_chunk(_DELTAS[at], usage=_usage(sent)) if each else _PLAIN_CHUNKS[at])
            if directive.interval_s:
                due_s += directive.interval_s
                loop.call_at(due_s, step)
            else:
                loop.call_soon(step)

        loop.call_at(due_s, step) if directive.interval_s else step()

    def _finish(self, directive: Directive) -> None:
        usage = _usage(directive.chunks)
        end = _chunk(b"{}", finish=b'"stop"', usage=usage if directive.usage_each else b"")
        if directive.usage:
            end += http_chunk(b'data: {%b,"choices":[]%b}\n\n' % (_CHUNK_HEAD, usage))
        self.write(end + http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def _usage(done: int) -> bytes:
    return b',"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}' % (
        _PROMPT_TOKENS,
        _PROMPT_TOKENS + done,
        done,
    )


def _chunk(delta: bytes, *, finish: bytes = b"null", usage: bytes = b"") -> bytes:
    return http_chunk(
        b'data: {%b,"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b,'
        b'"token_ids":null}]%b}\n\n' % (_CHUNK_HEAD, delta, finish, usage)
    )


_DELTAS = [b'{"content":"%b"}' % text.encode() for text in _TEXTS]
_PLAIN_CHUNKS = [_chunk(delta) for delta in _DELTAS]


def _completion(directive: Directive) -> dict[str, object]:
    message = {"role": "assistant", "content": "".join(_TEXTS[: directive.chunks])}
    tokens = {"prompt_tokens": _PROMPT_TOKENS, "completion_tokens": directive.chunks}
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1,
        "model": _MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": tokens | {"total_tokens": sum(tokens.values())},
    }


def main() -> None:
    """Serve on the port given on the command line until terminated."""
    import uvloop

    uvloop.run(serve_raw(_Exchange, int(sys.argv[1])))


if __name__ == "__main__":
    main()
