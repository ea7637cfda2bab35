"""A server whose every token comes when it should, and says when it was written.

    python -m autosre_lab.studies.agreement.paced_server PORT --ttft-ms 50 --interval-ms 10 --spread

It streams Chat Completions, Messages and Responses, as many tokens as a request allows. Each
token's text is the moment at which it was written, in nanoseconds of the system's monotonic clock:
whoever reads it on the same machine knows how late he is. Schedules are absolute, so that nothing
drifts. With `--spread`, streams that start together are spread over the interval, so that they do
not come in step.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Sequence

from autosre_lab.scripted.raw_http import (
    STREAM_HEAD,
    RawExchange,
    http_chunk,
    serve_raw,
    spread_start,
)

__all__ = ["MODEL", "PROMPT_TOKENS", "main"]

MODEL = "paced"
PROMPT_TOKENS = 100
_LIMIT = re.compile(rb'"max_(?:completion_|output_)?tokens"\s*:\s*(\d+)')


class _Chat:
    """Chat Completions as vLLM streams them: the role comes with the first token."""

    def begin(self) -> bytes:
        return b""

    def first(self) -> bytes:
        return self._chunk(b'{"role":"assistant","content":""}')

    def token(self, text: bytes) -> bytes:
        return self._chunk(b'{"content":"%b"}' % text)

    def end(self, tokens: int) -> bytes:
        usage = (
            b'"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
            b'"prompt_tokens_details":{"cached_tokens":0}}'
            % (PROMPT_TOKENS, tokens, PROMPT_TOKENS + tokens)
        )
        return (
            self._chunk(b"{}", finish=b'"length"')
            + _event(b'{"id":"c","object":"chat.completion.chunk","choices":[],%b}' % usage)
            + _event(b"[DONE]")
        )

    @staticmethod
    def _chunk(delta: bytes, *, finish: bytes = b"null") -> bytes:
        return _event(
            b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"paced","choices":'
            b'[{"index":0,"delta":%b,"finish_reason":%b}]}' % (delta, finish)
        )


class _Messages:
    """Anthropic's Messages."""

    def begin(self) -> bytes:
        return b""

    def first(self) -> bytes:
        return _event(
            b'{"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
            b'"content":[],"usage":{"input_tokens":%d,"cache_read_input_tokens":0,'
            b'"output_tokens":0}}}' % PROMPT_TOKENS
        ) + _event(
            b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
        )

    def token(self, text: bytes) -> bytes:
        return _event(
            b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}'
            % text
        )

    def end(self, tokens: int) -> bytes:
        return (
            _event(b'{"type":"content_block_stop","index":0}')
            + _event(
                b'{"type":"message_delta","delta":{"stop_reason":"max_tokens"},'
                b'"usage":{"output_tokens":%d}}' % tokens
            )
            + _event(b'{"type":"message_stop"}')
        )


class _Responses:
    """OpenAI's Responses."""

    def begin(self) -> bytes:
        return _event(b'{"type":"response.created","response":{"status":"in_progress"}}')

    def first(self) -> bytes:
        return b""

    def token(self, text: bytes) -> bytes:
        return _event(b'{"type":"response.output_text.delta","output_index":0,"delta":"%b"}' % text)

    def end(self, tokens: int) -> bytes:
        return _event(
            b'{"type":"response.completed","response":{"status":"completed","usage":'
            b'{"input_tokens":%d,"output_tokens":%d,"input_tokens_details":{"cached_tokens":0}}}}'
            % (PROMPT_TOKENS, tokens)
        )


_Api = _Chat | _Messages | _Responses
_APIS: dict[str, type[_Api]] = {
    "/v1/chat/completions": _Chat,
    "/v1/messages": _Messages,
    "/v1/responses": _Responses,
}


class _Exchange(RawExchange):
    def __init__(self, ttft_s: float, interval_s: float, *, spread: bool) -> None:
        super().__init__()
        self._ttft_s = ttft_s
        self._interval_s = interval_s
        self._spread_s = interval_s if spread else 0.0

    def answer(self, path: str, body: bytes) -> None:
        """Stream at the pace; whatever else is asked gets an empty answer."""
        if path in _APIS:
            self._stream(_APIS[path](), body)
        elif path == "/v1/models":
            self.send_json(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        else:
            self.send_json(200, {})

    def _stream(self, api: _Api, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        limit = _LIMIT.search(body)
        tokens = int(limit[1]) if limit else 16
        self.write(STREAM_HEAD + http_chunk(api.begin()))
        sent = 0
        due_s = loop.time() + self._ttft_s + spread_start(self._spread_s)

        def step() -> None:
            nonlocal sent, due_s
            if not self.open:  # the client went away
                return
            data = api.first() if sent == 0 else b""
            sent += 1
            ended = sent == tokens
            data += api.token(b" %d" % time.perf_counter_ns())
            if ended:
                data += api.end(tokens)
            self.write(http_chunk(data) + (b"0\r\n\r\n" if ended else b""))
            if not ended:
                due_s += self._interval_s
                loop.call_at(due_s, step)

        loop.call_at(due_s, step)


def _event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data


async def _serve(options: argparse.Namespace) -> None:
    ttft_s, interval_s = options.ttft_ms / 1e3, options.interval_ms / 1e3
    await serve_raw(lambda: _Exchange(ttft_s, interval_s, spread=options.spread), options.port)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve on loopback until terminated."""
    import uvloop

    parser = argparse.ArgumentParser(prog="python -m autosre_lab.studies.agreement.paced_server")
    parser.add_argument("port", type=int)
    parser.add_argument("--ttft-ms", type=float, default=50.0)
    parser.add_argument("--interval-ms", type=float, default=10.0)
    parser.add_argument("--spread", action="store_true")
    uvloop.run(_serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
