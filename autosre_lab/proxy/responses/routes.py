"""The API's routes beside the one that answers: stored responses, compaction, the WebSocket."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from autosre_lab.logs import get_logger
from autosre_lab.proxy import refusals
from autosre_lab.proxy.dialect import OwnRoute, RequestAnswerer, ServedModels
from autosre_lab.proxy.refusals import BadRequestError, Refusal, Refused
from autosre_lab.proxy.responses.catalogue import catalogue
from autosre_lab.proxy.responses.continuation import (
    Members,
    input_of,
    joined,
    members_of,
)
from autosre_lab.proxy.responses.echo import echoed
from autosre_lab.proxy.responses.kept import NOT_STORED, Kept, KeptResponses, shown_input
from autosre_lab.proxy.responses.request import decode_request
from autosre_lab.proxy.responses.socket import ResponseSocket
from autosre_lab.serving.http_server import read_body

__all__ = ["ResponseRoutes"]

logger = get_logger(__name__)

_PATH = "/v1/responses"
_ONE = _PATH + "/{response_id:[^/]+}"
_PAGE = 20
_LARGEST_PAGE = 100
_RUNNING = ("queued", "in_progress")
_RESTARTED = "the proxy was restarted while it answered; ask again"
_EMPTY_SUMMARY = "the summary of the conversation came out empty"


class ResponseRoutes:
    """Handlers of the routes.

    Args:
        answers: Answers a request as `POST /v1/responses` does.
        kept: What is stored.
        served: What is served.
        max_bytes: The largest body taken.
    """

    def __init__(
        self, answers: RequestAnswerer, kept: KeptResponses, served: ServedModels, max_bytes: int
    ) -> None:
        self._served = served
        self._answers = answers
        self._kept = kept
        self._max_bytes = max_bytes
        self._background: dict[str, asyncio.Task[None]] = {}
        self._sockets: set[ResponseSocket] = set()

    @property
    def routes(self) -> Sequence[OwnRoute]:
        """Method, path and handler of each."""
        always: list[OwnRoute] = [
            ("GET", "/codex/models", self._catalogue),
            ("GET", _PATH, self._socket),
            ("POST", f"{_PATH}/compact", self._compact),
            ("GET", _ONE, self._retrieve),
            ("DELETE", _ONE, self._delete),
            ("POST", f"{_ONE}/cancel", self._cancel),
            ("GET", f"{_ONE}/input_items", self._input_items),
        ]
        return [*always, ("POST", _PATH, self._create)] if self._kept.on else always

    async def close(self) -> None:
        """End the connections and what runs in the background."""
        for task in self._background.values():
            task.cancel()
        await asyncio.gather(*self._background.values(), return_exceptions=True)
        await asyncio.gather(*(one.close() for one in self._sockets), return_exceptions=True)

    async def _socket(self, http: web.Request) -> web.StreamResponse:
        socket = ResponseSocket(http, self._answers, self._kept.complete, max_bytes=self._max_bytes)
        self._sockets.add(socket)
        try:
            return await socket.serve()
        finally:
            self._sockets.discard(socket)

    async def _catalogue(self, http: web.Request) -> web.StreamResponse:
        images = await self._served.sees_images()
        return _json(catalogue(await self._served.models(), images=images))

    # Compaction -----------------------------------------------------------------------------------

    async def _compact(self, http: web.Request) -> web.StreamResponse:
        """Answer a conversation with what stands for it from then on."""
        body = await self._kept.complete(await read_body(http, self._max_bytes))
        members = members_of(body)
        if members is None:
            return await self._answers(http, body)  # it says what is wrong
        trigger = msgspec.Raw(b'{"type":"compaction_trigger"}')
        asked = {
            **{name: raw for name, raw in members.items() if name not in ("stream", "background")},
            "input": joined((*input_of(members), trigger)),
            "store": msgspec.Raw(b"false"),
        }
        answer = await self._answers(http, msgspec.json.encode(asked))
        if answer.status != 200:
            return answer
        response = _object_of(answer)
        if response["status"] != "completed":
            raise Refused(refusals.broken_stream(_EMPTY_SUMMARY))
        return _json(
            {
                "id": response["id"],
                "object": "response.compaction",
                "created_at": response["created_at"],
                "output": response["output"],
                "usage": response["usage"],
            }
        )

    # What is stored -------------------------------------------------------------------------------

    async def _retrieve(self, http: web.Request) -> web.StreamResponse:
        if http.query.get("stream", "false") not in ("false", "0"):
            raise BadRequestError("a stored response is not streamed here; ask without stream")
        response = await self._response(http)
        return _json(response)

    async def _delete(self, http: web.Request) -> web.StreamResponse:
        response_id = _id_of(http)
        task = self._background.get(response_id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if not await self._kept.delete(response_id):
            raise Refused(self._missing(response_id))
        return _json({"id": response_id, "object": "response", "deleted": True})

    async def _input_items(self, http: web.Request) -> web.StreamResponse:
        response_id = _id_of(http)
        kept = await self._found(response_id)
        items = shown_input(kept, response_id)
        if http.query.get("order", "desc") != "asc":
            items.reverse()
        after = http.query.get("after", "")
        if after:
            place = next((at for at, one in enumerate(items) if one["id"] == after), None)
            if place is None:
                raise BadRequestError(f"after names no item of this response: {after[:80]!r}")
            items = items[place + 1 :]
        limit = _limit(http.query.get("limit", str(_PAGE)))
        page = items[:limit]
        return _json(
            {
                "object": "list",
                "data": page,
                "first_id": page[0]["id"] if page else None,
                "last_id": page[-1]["id"] if page else None,
                "has_more": len(items) > limit,
            }
        )

    async def _cancel(self, http: web.Request) -> web.StreamResponse:
        response_id = _id_of(http)
        task = self._background.get(response_id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        kept = await self._found(response_id)
        if not kept.response.get("background"):
            raise BadRequestError(
                "only a response that was created with background=true can be cancelled; end any "
                "other by closing its connection"
            )
        if task is not None and kept.response["status"] in _RUNNING:
            kept.response |= {"status": "cancelled"}
            await self._kept.put(response_id, kept)
        return _json(await self._response(http))

    async def _response(self, http: web.Request) -> dict[str, Any]:
        response_id = _id_of(http)
        response = (await self._found(response_id)).response
        if response.get("status") in _RUNNING and response_id not in self._background:
            error = {"code": "server_error", "message": _RESTARTED}
            response |= {"status": "failed", "error": error}
        return response

    async def _found(self, response_id: str) -> Kept:
        kept = await self._kept.get(response_id)
        if kept is None:
            raise Refused(self._missing(response_id))
        return kept

    def _missing(self, response_id: str) -> Refusal:
        why = "it was never stored, or was deleted" if self._kept.on else NOT_STORED
        message = f"Response with id {response_id[:80]!r} not found: {why}"
        return Refusal(status=404, kind="not_found", message=message)

    # In the background ----------------------------------------------------------------------------

    async def _create(self, http: web.Request) -> web.StreamResponse:
        body = await read_body(http, self._max_bytes)
        members = members_of(body) if b'"background"' in body else None
        if members is None or bytes(members.get("background", b"")) != b"true":
            return await self._answers(http, body)
        if bytes(members.get("stream", b"")) == b"true":
            raise BadRequestError(
                "background together with stream is not served here; create it "
                "without stream, and ask for it with GET"
            )
        if bytes(members.get("store", b"")) == b"false":
            raise BadRequestError(
                "a response in the background has to be stored: store=false does not go with it"
            )
        return await self._begin(http, members)

    async def _begin(self, http: web.Request, members: Members) -> web.StreamResponse:
        asked = {name: raw for name, raw in members.items() if name != "background"}
        asked["_in_background"] = msgspec.Raw(b"true")
        body = await self._kept.complete(msgspec.json.encode(asked))
        request = decode_request(body)
        number = secrets.token_hex(12)
        response_id = f"resp_{number}"
        response = {
            "id": response_id,
            "object": "response",
            "created_at": int(time.time()),
            "completed_at": None,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "output": [],
            "usage": None,
            **echoed(request, stored=True),
        }
        kept = Kept(response=response, input=list(input_of(members_of(body) or {})))
        await self._kept.put(response_id, kept)
        task = asyncio.create_task(self._answer_later(http, body, f"req_{number}", kept))
        self._background[response_id] = task
        task.add_done_callback(lambda _: self._background.pop(response_id, None))
        return _json(response)

    async def _answer_later(
        self, http: web.Request, body: bytes, request_id: str, kept: Kept
    ) -> None:
        answer = await self._answers(http, body, request_id=request_id)
        if answer.status == 200:
            return  # it was stored before its end was told
        error = _object_of(answer)["error"]
        failed = {"code": error.get("code") or "server_error", "message": error["message"]}
        kept.response |= {"status": "failed", "error": failed}
        await self._kept.put(kept.response["id"], kept)


def _id_of(http: web.Request) -> str:
    # The proxy has one route for all; what is between the slashes is the id.
    return http.path.split("/responses/", 1)[1].split("/")[0]


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= _LARGEST_PAGE:
        raise BadRequestError(f"limit has to be a number from 1 to {_LARGEST_PAGE}")
    return int(text)


def _object_of(answer: web.StreamResponse) -> dict[str, Any]:
    assert isinstance(answer, web.Response)  # noqa: S101 - nothing was streamed
    assert isinstance(answer.body, bytes)  # noqa: S101 - as all that is answered whole
    return msgspec.json.decode(answer.body, type=dict[str, Any])


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
