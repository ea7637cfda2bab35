"""The Responses API over a WebSocket: a frame asks, and each event is a frame.

A request is answered exactly as over HTTP. What a WebSocket adds is that the client sends only what
is new, and names the response that it continues; this connection remembers its last ones.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from autosre_lab.proxy.dialect import RequestAnswerer
from autosre_lab.proxy.refusals import BadRequestError, Refusal, Refused, bad_request
from autosre_lab.proxy.responses.codex import headers_of_frame
from autosre_lab.proxy.responses.continuation import (
    EarlierTurn,
    Members,
    continued,
    input_of,
    members_of,
    text_member,
)
from autosre_lab.proxy.responses.errors import error_body

__all__ = ["ResponseSocket"]

_REMEMBERED = 4
_WAITING = 16
_HEARTBEAT_S = 60.0
_ENDINGS = tuple(b"event: response.%b\n" % end for end in (b"completed", b"incomplete", b"failed"))
_NOTES = ("response.processed",)
"""What Codex tells and wants no answer to."""


class _Ended(msgspec.Struct):
    id: str = ""
    status: str = ""
    output: list[msgspec.Raw] = []


class _Ending(msgspec.Struct):
    response: _Ended


class ResponseSocket:
    """One client's connection.

    Args:
        http: Its handshake.
        answers: Answers a request.
        complete: Puts in what a request refers to that is stored.
        max_bytes: Largest frame that is taken.
    """

    def __init__(
        self,
        http: web.Request,
        answers: RequestAnswerer,
        complete: Callable[[bytes], Awaitable[bytes]],
        *,
        max_bytes: int,
    ) -> None:
        self._http = http
        self._answers = answers
        self._complete = complete
        # Uncompressed: on loopback and in a cluster, compressing a token costs more than it saves.
        self._socket = web.WebSocketResponse(
            max_msg_size=max_bytes, compress=False, heartbeat=_HEARTBEAT_S
        )
        self._turns: OrderedDict[str, EarlierTurn] = OrderedDict()

    async def serve(self) -> web.WebSocketResponse:
        """Answer one frame after the other until the client goes.

        Raises:
            Refused: The client wants no WebSocket.
        """
        if not self._socket.can_prepare(self._http):
            raise Refused(_UPGRADE)
        await self._socket.prepare(self._http)
        waiting: asyncio.Queue[str] = asyncio.Queue(_WAITING)
        answering = asyncio.create_task(self._answer_all(waiting))
        try:
            async for message in self._socket:
                if message.type is not WSMsgType.TEXT or waiting.full():
                    code = WSCloseCode.POLICY_VIOLATION
                    await self._socket.close(code=code, message=b"text frames, and few at a time")
                    break
                waiting.put_nowait(message.data)
        finally:
            # A client that goes ends the engine's work.
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
        return self._socket

    async def close(self) -> None:
        """End the connection: the proxy is told to end."""
        await self._socket.close(code=WSCloseCode.GOING_AWAY, message=b"the proxy is shutting down")

    async def _answer_all(self, waiting: asyncio.Queue[str]) -> None:
        while True:
            frame = await waiting.get()
            # A task of its own, as a request over HTTP has: a second sending may end it.
            task = asyncio.create_task(self._answer(frame.encode("utf-8", "surrogatepass")))
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            if task.cancelled() or task.exception() is not None:
                await self._socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
                return

    async def _answer(self, frame: bytes) -> None:
        members = members_of(frame)
        if members is None:
            return await self._refuse(bad_request("a frame has to be a JSON object", _BAD_JSON))
        kind = text_member(members, "type")
        if kind in _NOTES:
            return None
        if kind != "response.create":
            message = f"a frame of type {kind[:80]!r} is not known; response.create is"
            return await self._refuse(bad_request(message, _BAD_TYPE))
        return await self._create(members)

    async def _create(self, members: Members) -> None:
        members = {name: raw for name, raw in members.items() if name != "type"}
        members["stream"] = msgspec.Raw(b"true")
        before = text_member(members, "previous_response_id")
        turn = self._turns.get(before)
        if turn is not None:
            members = continued(members, turn, after=before)
        try:
            # One that is not of this connection may be a stored one.
            body = await self._complete(msgspec.json.encode(members))
        except BadRequestError as error:
            return await self._refuse(bad_request(error.message, error.code))
        events = _Events(self._socket)
        answer = await self._answers(
            self._http,
            body,
            headers=headers_of_frame(
                self._http.headers, bytes(members.get("client_metadata", b""))
            ),
            events_to=lambda _: events,
        )
        ended = events.ended
        if ended is None or ended.status == "failed":
            # What fails is asked for again from its beginning, here or on a new connection.
            self._turns.pop(before, None)
        else:
            self._remember(ended, members_of(body) or members)
        return await self._send_error(answer)

    def _remember(self, ended: _Ended, members: Members) -> None:
        self._turns[ended.id] = EarlierTurn(input_of(members), tuple(ended.output))
        while len(self._turns) > _REMEMBERED:
            self._turns.popitem(last=False)

    async def _refuse(self, refusal: Refusal) -> None:
        await self._send_error(web.Response(status=refusal.status, body=error_body(refusal)))

    async def _send_error(self, answer: web.StreamResponse) -> None:
        """Tell what HTTP would have told by a status, in the shape that Codex reads."""
        if not isinstance(answer, web.Response) or not isinstance(answer.body, bytes):
            return
        event: dict[str, Any] = {"type": "error", "status": answer.status}
        waits = answer.headers.get("retry-after")
        if waits is not None:
            event["headers"] = {"retry-after": waits}
        event |= msgspec.json.decode(answer.body, type=dict[str, Any])
        await self._socket.send_str(msgspec.json.encode(event).decode())


class _Events(web.StreamResponse):
    """Writes server-sent events as frames; keeps how the response ended."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        super().__init__()
        self._to = socket
        self.ended: _Ended | None = None

    async def prepare(self, request: web.BaseRequest) -> None:
        """There is no status line."""

    async def write(self, data: bytes | bytearray | memoryview[int] | memoryview[bytes]) -> None:
        """Send whole events."""
        for event in bytes(data).split(b"\n\n"):
            _, found, line = event.partition(b"\ndata: ")
            if not found:
                continue
            if event.startswith(_ENDINGS):
                self.ended = msgspec.json.decode(line, type=_Ending).response
            await self._to.send_str(line.decode())

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the last events; the connection stays."""
        await self.write(data)


_BAD_JSON = "invalid_json"
_BAD_TYPE = "unknown_event_type"
_UPGRADE = Refusal(
    status=426,
    kind="method",
    message="GET /v1/responses is for WebSockets; send a request with POST",
    headers={"upgrade": "websocket"},
)
