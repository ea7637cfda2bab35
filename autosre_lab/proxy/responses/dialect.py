"""OpenAI's Responses API as a dialect of the proxy."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from autosre_lab.proxy.dialect import (
    AnswerStream,
    Ask,
    Canned,
    Client,
    OwnRoute,
    Page,
    RequestAnswerer,
    ServedModels,
)
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import BadRequestError, Refusal
from autosre_lab.proxy.responses.chat_request import begins_inside, to_chat_request
from autosre_lab.proxy.responses.codex import classify, client_of, thread_of
from autosre_lab.proxy.responses.compaction import ThreadTools, is_triggered
from autosre_lab.proxy.responses.continuation import input_of, members_of
from autosre_lab.proxy.responses.echo import echoed
from autosre_lab.proxy.responses.errors import error_body, error_status, error_type
from autosre_lab.proxy.responses.kept import NOT_STORED, Kept, KeptResponses
from autosre_lab.proxy.responses.request import ResponsesRequest, decode_request
from autosre_lab.proxy.responses.routes import ResponseRoutes
from autosre_lab.proxy.responses.search import SOURCES, FoundBefore, search_ask
from autosre_lab.proxy.responses.stream import AnswerPlan, ResponseStream
from autosre_lab.proxy.responses.tools import DeclaredTools, declared_tools
from autosre_lab.proxy.responses.warming import WarmingResponse

__all__ = ["ResponsesDialect"]

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    request: ResponsesRequest
    body: bytes
    tools: DeclaredTools
    summary: bool
    may_call: bool
    stored: bool


class ResponsesDialect:
    """What Codex and OpenAI's SDKs speak.

    Args:
        responses_dir: Where responses are stored; None stores none.

    Raises:
        FileError: That folder cannot be written to.
    """

    name = "openai-responses"
    answer_path = "/v1/responses"
    count_path: str | None = "/v1/responses/input_tokens"
    id_header = "x-request-id"
    pages: Mapping[str, Page] = {}

    def __init__(self, responses_dir: Path | None = None, *, searches: bool = False) -> None:
        self._searches = searches
        self._threads = ThreadTools()
        self._found = FoundBefore()
        self._kept = KeptResponses(responses_dir)
        self._routes: ResponseRoutes | None = None

    def routes(
        self, answers: RequestAnswerer, served: ServedModels, max_bytes: int
    ) -> Sequence[OwnRoute]:
        """Stored responses, compaction, the WebSocket and Codex's catalogue."""
        self._routes = ResponseRoutes(answers, self._kept, served, max_bytes)
        return self._routes.routes

    async def complete(self, body: bytes) -> bytes:
        """Put in the conversation that a request continues."""
        return await self._kept.complete(body)

    async def keep(self, ask: Ask, answer: AnswerStream) -> None:
        """Store a response, with its input, before its end is told."""
        asked: _Request = ask.body
        if asked.stored and isinstance(answer, ResponseStream):
            response = answer.response()
            items = list(input_of(members_of(asked.body) or {}))
            await self._kept.put(response["id"], Kept(response=response, input=items))

    async def close(self) -> None:
        """End the WebSockets, and what runs in the background."""
        if self._routes is not None:
            await self._routes.close()

    def client(self, headers: Mapping[str, str]) -> Client:
        """Codex names its session, and the thread of a subagent."""
        return client_of(headers)

    def decode(self, body: bytes, headers: Mapping[str, str], *, counting: bool = False) -> Ask:
        """Decode and check a request.

        Raises:
            BadRequestError: It is not a request of the Responses API.
        """
        request = decode_request(body)
        if request.store and not self._kept.on:
            raise BadRequestError(f"store=true cannot be done: {NOT_STORED}; or leave store out")
        kind = classify(headers)
        thread = thread_of(headers)
        summary = kind == "compaction" or is_triggered(request)
        if summary and not request.tools:
            request.tools = self._threads.of(thread)
        elif thread and request.tools and not counting:
            self._threads.learn(thread, request.tools)
        tools = declared_tools(request.tools, searches=self._searches)
        return Ask(
            body=_Request(
                request=request,
                body=body,
                tools=tools,
                summary=summary,
                may_call=not summary,
                stored=self._kept.on and request.store is not False and not request.warms,
            ),
            model=request.model,
            kind="compaction" if summary else kind,
            stream=bool(request.stream),
            wanted=1 if request.warms else request.max_output_tokens,
            messages=len(request.items),
            tools=len(request.tools or ()),
            images=b'"input_image"' in body,
            search=None
            if summary or request.warms
            else search_ask(request, tools.search_name, self._found),
        )

    def chat(self, ask: Ask, engine: EngineProfile, *, priority: int) -> dict[str, Any]:
        """Translate a request for the engine, without a limit of the answer."""
        asked: _Request = ask.body
        return to_chat_request(
            asked.request,
            asked.tools,
            engine,
            priority=priority,
            may_call=asked.may_call,
            found=self._found,
        )

    def sent_again(self, body: bytes) -> bytes:
        """A second try of Codex has the keys of `client_metadata` in another order."""
        try:
            members = _members.decode(body)
        except (msgspec.DecodeError, UnicodeError):
            return body
        members.pop("client_metadata", None)
        return msgspec.json.encode(members)

    def canned(self, ask: Ask, request_id: str) -> Canned | None:
        """Every request needs the engine."""
        return None

    def answer(
        self, ask: Ask, request_id: str, engine: EngineProfile, *, window_limited: bool
    ) -> ResponseStream:
        """Return the translation of the answer."""
        asked: _Request = ask.body
        stream = WarmingResponse if asked.request.warms else ResponseStream
        return stream(
            AnswerPlan(
                response_id=request_id.replace("req_", "resp_", 1),
                created_at=int(time.time()),
                echoed=echoed(asked.request, stored=asked.stored),
                tools=asked.tools,
                summary=asked.summary,
                as_compaction=is_triggered(asked.request),
                inside_thinking=begins_inside(asked.request, engine),
                search=ask.search,
                sources=SOURCES in (asked.request.include or ()),
                found=self._found,
            )
        )

    def count(self, tokens: int) -> dict[str, object]:
        """Return the answer of `input_tokens`."""
        return {"object": "response.input_tokens", "input_tokens": tokens}

    def error(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        """Return status and body of OpenAI's error."""
        return error_status(refusal), error_body(refusal)

    def error_type(self, refusal: Refusal) -> str:
        """Return OpenAI's error type."""
        return error_type(refusal)
