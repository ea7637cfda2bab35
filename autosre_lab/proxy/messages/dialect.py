"""Anthropic's Messages API as a dialect of the proxy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.claude_code import AGENT_HEADER, SESSION_HEADER, classify
from autosre_lab.proxy.messages.deferred import removed_tools
from autosre_lab.proxy.messages.errors import error_body, error_status, error_type
from autosre_lab.proxy.messages.models import model_list, one_model
from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.messages.search import search_ask
from autosre_lab.proxy.messages.search_refusal import (
    must_search,
    refusal_events,
    refusal_message,
)
from autosre_lab.proxy.messages.sent_again import without_stream
from autosre_lab.proxy.messages.stream import MessageStream
from autosre_lab.proxy.messages.thinking import begins_inside
from autosre_lab.proxy.messages.warming import WarmingStream
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import Refusal

__all__ = ["MessagesDialect"]


class MessagesDialect:
    """What Claude Code and Anthropic's SDKs speak.

    Args:
        searches: The web is searched here; otherwise a search is honestly refused.
    """

    name = "anthropic-messages"
    answer_path = "/v1/messages"
    count_path: str | None = "/v1/messages/count_tokens"
    id_header = "request-id"
    pages: Mapping[str, Page] = {"/v1/models": model_list, "/v1/models/{model:.+}": one_model}

    def __init__(self, *, searches: bool = False) -> None:
        self._searches = searches

    def routes(
        self, answers: RequestAnswerer, served: ServedModels, max_bytes: int
    ) -> Sequence[OwnRoute]:
        """The API has none beside those that all have."""
        return ()

    async def complete(self, body: bytes) -> bytes:
        """A request holds all that it needs."""
        return body

    async def keep(self, ask: Ask, answer: AnswerStream) -> None:
        """Nobody asks for an answer later."""

    async def close(self) -> None:
        """Nothing outlives a request."""

    def client(self, headers: Mapping[str, str]) -> Client:
        """Claude Code names its session, and the subagent where one asks."""
        return Client(session=headers.get(SESSION_HEADER, ""), agent=headers.get(AGENT_HEADER, ""))

    def decode(self, body: bytes, headers: Mapping[str, str], *, counting: bool = False) -> Ask:
        """Decode and check a request.

        Raises:
            BadRequestError: It is not a request of the Messages API.
        """
        request = decode_request(body, counting=counting)
        return Ask(
            body=request,
            model=request.model,
            kind=classify(headers, request),
            stream=bool(request.stream),
            wanted=request.max_tokens or 1,
            messages=len(request.messages),
            tools=len(request.tools or ()),
            images=b'"image"' in body,
            search=search_ask(request) if self._searches else None,
        )

    def chat(self, ask: Ask, engine: EngineProfile, *, priority: int) -> dict[str, Any]:
        """Translate a request for the engine, without a limit of the answer."""
        return to_chat_request(
            ask.body,
            engine,
            max_tokens=None,
            priority=priority,
            searches=ask.search is not None,
        )

    def sent_again(self, body: bytes) -> bytes:
        """Claude Code's second try leaves `stream` out, and is the same otherwise."""
        return without_stream(body)

    def canned(self, ask: Ask, request_id: str) -> Canned | None:
        """Say that nothing was searched, instead of letting a model invent results."""
        if ask.search is not None or not must_search(ask.body):
            return None
        message_id = _message_id(request_id)
        if ask.stream:
            body = refusal_events(message_id, ask.model)
        else:
            body = msgspec.json.encode(refusal_message(message_id, ask.model))
        return Canned(body=body, stop_reason="end_turn")

    def answer(
        self, ask: Ask, request_id: str, engine: EngineProfile, *, window_limited: bool
    ) -> MessageStream:
        """Return the translation of the answer."""
        stream = WarmingStream if ask.body.max_tokens == 0 else MessageStream
        return stream(
            message_id=_message_id(request_id),
            model=ask.model,
            stop_sequences=ask.body.stop_sequences or (),
            window_limited=window_limited,
            inside_thinking=begins_inside(ask.body, engine),
            removed_tools=removed_tools(ask.body),
            search=ask.search,
        )

    def count(self, tokens: int) -> dict[str, int]:
        """Return the answer of count_tokens."""
        return {"input_tokens": tokens}

    def error(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        """Return status and body of Anthropic's error."""
        return error_status(refusal), error_body(refusal, request_id)

    def error_type(self, refusal: Refusal) -> str:
        """Return Anthropic's error type."""
        return error_type(refusal)


def _message_id(request_id: str) -> str:
    return request_id.replace("req_", "msg_", 1)
