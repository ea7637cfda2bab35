"""A scripted stand-in for vLLM: every answer, delay and failure is written down beforehand.

In a test::

    busy = Turn(http_error=HttpError(status=503))
    async with ScriptedVllm([Turn(text="Hello"), busy]) as upstream:
        ...  # point a proxy at upstream.url, then look at upstream.requests

As a process: ``python -m autosre_lab.scripted.chat_engine 8010 --text "Hello"``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from autosre_lab.scripted.turns import CUT, HttpError, ToolCall, Turn, chunks_of

__all__ = [
    "CUT",
    "HttpError",
    "ReceivedRequest",
    "ScriptedVllm",
    "ToolCall",
    "Turn",
    "chunks_of",
    "engine_error",
    "main",
    "token_ids",
]

CHARS_PER_TOKEN = 4
"""How the stand-in counts: characters of everything that would be rendered, over this."""

TEMPLATE_TOKENS = 8
"""What the stand-in's chat template adds around each message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One request as it came.

    Attributes:
        at_s: `time.monotonic()` of its arrival.
        body: The decoded JSON; an empty mapping where there was none.
        raw: The bytes.
    """

    at_s: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    raw: bytes


Script = Sequence[Turn] | Callable[[Mapping[str, Any]], Turn]

HELLO: Script = (Turn(text="Hello from the script."),)


class ScriptedVllm:
    """vLLM's HTTP face with scripted answers, on loopback.

    Args:
        script: The turns in order (the last one repeats), or a function of the request's body.
        model: The served name.
        max_model_len: The window; a longer prompt is refused in vLLM's words.
        port: 0 takes a free one.
        count: Tokens of a chat or tokenize body; characters over four where not given.
        rejects_mid_system: The chat template raises on a system message that is not the first.
        refuses: What else the engine refuses to render: its words for a body, or "".
        refuses_with: The status of that.

    Attributes:
        requests: Everything that was asked, in order.
        disconnects: Chat requests whose client went away before the end.
        running: Chat requests under way now.
        key: What clients have to show as a bearer token, as with vLLM's `VLLM_API_KEY`; "" asks
            for nothing.
        guarded: The paths where it is asked for.
    """

    def __init__(
        self,
        script: Script = HELLO,
        *,
        model: str = "scripted-model",
        max_model_len: int = 262_144,
        port: int = 0,
        count: Callable[[Mapping[str, Any]], int] | None = None,
        rejects_mid_system: bool = False,
        refuses: Callable[[Mapping[str, Any]], str] = lambda _: "",
        refuses_with: int = 400,
    ) -> None:
        self.script = script
        self.model = model
        self.max_model_len = max_model_len
        self.requests: list[ReceivedRequest] = []
        self.disconnects = 0
        self.running = 0
        self.key = ""
        self.guarded = {"/v1/models", "/v1/chat/completions"}
        self.port = port
        self._count = count or count_tokens
        self._rejects_mid_system = rejects_mid_system
        self._refuses = refuses
        self._refuses_with = refuses_with
        self._turn = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def chats(self) -> list[ReceivedRequest]:
        """The chat requests alone."""
        return [one for one in self.requests if one.path == "/v1/chat/completions"]

    async def __aenter__(self) -> ScriptedVllm:
        app = web.Application(client_max_size=256 * 1024**2, middlewares=[self._guard()])
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def restart(self, *, down_s: float) -> None:
        """Go down as if killed, whatever runs, and come back at the same port.

        Args:
            down_s: Seconds in which nobody listens.
        """
        await self.__aexit__(None, None, None)
        await asyncio.sleep(down_s)
        await self.__aenter__()

    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            shown = request.headers.get("authorization")
            if self.key and request.path in self.guarded and shown != f"Bearer {self.key}":
                return web.json_response({"error": "Unauthorized"}, status=401)
            return await handler(request)

        return guard

    async def _record(self, request: web.Request) -> Mapping[str, Any]:
        raw = await request.read()
        body = json.loads(raw) if raw else {}
        self.requests.append(
            ReceivedRequest(
                at_s=time.monotonic(),
                method=request.method,
                path=request.path,
                headers=dict(request.headers),
                body=body,
                raw=raw,
            )
        )
        return body if isinstance(body, dict) else {}

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.32.0"})

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            text=f'vllm:num_requests_running{{model_name="{self.model}"}} {self.running}\n'
        )

    async def _models(self, request: web.Request) -> web.Response:
        await self._record(request)
        card = {
            "id": self.model,
            "object": "model",
            "created": 1,
            "owned_by": "vllm",
            "root": self.model,
            "max_model_len": self.max_model_len,
        }
        return web.json_response({"object": "list", "data": [card]})

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = await self._record(request)
        if refused := self._template_error(body):
            return refused
        count = self._count(body)
        # Token ids: a prefix of the conversation gives a prefix of the ids, as a template would.
        tokens = token_ids(body)
        return web.json_response(
            {"count": count, "max_model_len": self.max_model_len, "tokens": tokens}
        )

    def _template_error(self, body: Mapping[str, Any]) -> web.Response | None:
        if words := self._refuses(body):
            return engine_error(self._refuses_with, words)
        messages = body.get("messages") or []
        late = any(message.get("role") == "system" for message in messages[1:])
        if not (late and self._rejects_mid_system):
            return None
        return engine_error(400, "System message must be at the beginning.")

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._record(request)
        turn = self._next_turn(body)
        self.running += 1
        try:
            if turn.headers_delay_s:
                await asyncio.sleep(turn.headers_delay_s)
            if turn.http_error is not None:
                error = turn.http_error
                return web.Response(
                    status=error.status,
                    text=error.body,
                    content_type="application/json",
                    headers=error.headers,
                )
            if refused := self._template_error(body) or self._overflow(body):
                return refused
            return await self._answer(request, body, turn)
        except (asyncio.CancelledError, ConnectionError):
            self.disconnects += 1
            raise
        finally:
            self.running -= 1

    def _next_turn(self, body: Mapping[str, Any]) -> Turn:
        if callable(self.script):
            return self.script(body)
        turn = self.script[min(self._turn, len(self.script) - 1)]
        self._turn += 1
        return turn

    def _overflow(self, body: Mapping[str, Any]) -> web.Response | None:
        limit = self.max_model_len
        wanted = body.get("max_completion_tokens") or body.get("max_tokens") or 1
        if wanted > limit:
            return engine_error(
                400,
                f"max_completion_tokens={wanted} cannot be greater than max_model_len={limit}.",
            )
        count = self._count(body)
        if count < limit:
            return None
        return engine_error(
            400,
            f"This model's maximum context length is {limit} tokens. However, your prompt contains"
            f" {count} input tokens, which exceeds this limit even without any output tokens.",
        )

    async def _answer(
        self, request: web.Request, body: Mapping[str, Any], turn: Turn
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", **turn.headers})
        await response.prepare(request)
        if turn.pieces is not None:
            return await _send_pieces(request, response, turn.pieces)
        if turn.first_chunk_delay_s:
            await asyncio.sleep(turn.first_chunk_delay_s)
        chunks = chunks_of(turn, prompt_tokens=self._count(body))
        for number, chunk in enumerate(chunks):
            if turn.die_after_chunks == number:
                assert request.transport is not None  # noqa: S101 - it carried the request
                request.transport.abort()
                return response
            if turn.error_after_chunks == number:
                chunk = {"error": {"message": "scripted failure", "type": "X", "code": 500}}
            data = json.dumps({"id": "chatcmpl-1", "model": self.model, **chunk})
            await response.write(f"data: {data}\n\n".encode())
            if turn.error_after_chunks == number:
                break
            if turn.chunk_interval_s:
                await asyncio.sleep(turn.chunk_interval_s)
        if turn.hold:
            await asyncio.Event().wait()
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response


async def _send_pieces(
    request: web.Request, response: web.StreamResponse, pieces: Sequence[str | float]
) -> web.StreamResponse:
    for piece in pieces:
        if piece == CUT:
            assert request.transport is not None  # noqa: S101 - it carried the request
            request.transport.abort()
            return response
        if isinstance(piece, str):
            await response.write(piece.encode("utf-8", "surrogateescape"))
        else:
            await asyncio.sleep(piece)
    await response.write_eof()
    return response


def count_tokens(body: Mapping[str, Any]) -> int:
    """Count a chat or tokenize body as the stand-in's template would render it."""
    if isinstance(prompt := body.get("prompt"), str):
        return len(prompt) // CHARS_PER_TOKEN
    return len(token_ids(body))


def token_ids(body: Mapping[str, Any]) -> list[int]:
    """Return a chat or tokenize body's tokens: one that begins like another has its first ids."""
    ids: list[int] = []
    # As in vLLM, a request's own arguments of the template come before the list of its tools.
    kwargs = body.get("chat_template_kwargs") or {}
    if tools := kwargs.get("tools", body.get("tools")):
        ids += _ids_of(json.dumps(tools))
    messages = body.get("messages") or []
    for message in messages:
        ids += [1] * TEMPLATE_TOKENS
        text = json.dumps(message)
        if body.get("continue_final_message") and message is messages[-1]:
            # What follows the text, and whatever of it would share a token with that.
            text = text[: len(text[:-2]) // CHARS_PER_TOKEN * CHARS_PER_TOKEN]
        ids += _ids_of(text)
    return ids


def _ids_of(text: str) -> list[int]:
    return [
        sum(map(ord, text[at : at + CHARS_PER_TOKEN]))
        for at in range(0, len(text), CHARS_PER_TOKEN)
    ]


def engine_error(status: int, message: str) -> web.Response:
    """Return a refusal in vLLM's form."""
    error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
    return web.json_response({"error": error}, status=status)


def main(argv: list[str] | None = None) -> None:
    """Serve one repeated turn until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m autosre_lab.scripted.chat_engine")
    parser.add_argument("port", type=int)
    parser.add_argument("--text", default="Hello from the script.")
    parser.add_argument("--max-model-len", type=int, default=262_144)
    parser.add_argument("--first-chunk-delay-s", type=float, default=0.0)
    parser.add_argument("--chunk-interval-s", type=float, default=0.0)
    options = parser.parse_args(argv)
    turn = Turn(
        text=options.text,
        first_chunk_delay_s=options.first_chunk_delay_s,
        chunk_interval_s=options.chunk_interval_s,
    )

    async def serve() -> None:
        upstream = ScriptedVllm([turn], port=options.port, max_model_len=options.max_model_len)
        async with upstream:
            await asyncio.Event().wait()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
