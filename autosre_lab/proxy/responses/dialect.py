"""OpenAI's Responses API as a dialect of the proxy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from autosre_lab.proxy.dialect import Ask, Canned, Client, Page
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import Refusal
from autosre_lab.proxy.responses.catalogue import catalogue
from autosre_lab.proxy.responses.chat_request import begins_inside, to_chat_request
from autosre_lab.proxy.responses.codex import classify, client_of, thread_of
from autosre_lab.proxy.responses.compaction import ThreadTools, is_triggered
from autosre_lab.proxy.responses.errors import error_body, error_status, error_type
from autosre_lab.proxy.responses.request import ResponsesRequest, decode_request
from autosre_lab.proxy.responses.search import SOURCES, FoundBefore, search_ask
from autosre_lab.proxy.responses.stream import AnswerPlan, ResponseStream
from autosre_lab.proxy.responses.tools import DeclaredTools, declared_tools

__all__ = ["ResponsesDialect"]

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    request: ResponsesRequest
    tools: DeclaredTools
    summary: bool
    may_call: bool


class ResponsesDialect:
    """What Codex and OpenAI's SDKs speak."""

    name = "openai-responses"
    answer_path = "/v1/responses"
    count_path: str | None = "/v1/responses/input_tokens"
    id_header = "x-request-id"
    pages: Mapping[str, Page] = {"/codex/models": catalogue}

    def __init__(self, *, searches: bool = False) -> None:
        self._searches = searches
        self._threads = ThreadTools()
        self._found = FoundBefore()

    def client(self, headers: Mapping[str, str]) -> Client:
        """Codex names its session, and the thread of a subagent."""
        return client_of(headers)

    def decode(self, body: bytes, headers: Mapping[str, str], *, counting: bool = False) -> Ask:
        """Decode and check a request.

        Raises:
            BadRequestError: It is not a request of the Responses API.
        """
        request = decode_request(body)
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
                tools=tools,
                summary=summary,
                may_call=not summary,
            ),
            model=request.model,
            kind="compaction" if summary else kind,
            stream=bool(request.stream),
            wanted=request.max_output_tokens,
            messages=len(request.items),
            tools=len(request.tools or ()),
            images=b'"input_image"' in body,
            search=None if summary else search_ask(request, tools.search_name, self._found),
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
        return ResponseStream(
            AnswerPlan(
                response_id=request_id.replace("req_", "resp_", 1),
                created_at=int(time.time()),
                echoed=_echoed(asked.request),
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


def _echoed(request: ResponsesRequest) -> dict[str, Any]:
    """Return what a response repeats of its request."""
    reasoning, text = request.reasoning, request.text
    wanted = text.format if text is not None else None
    return {
        "background": False,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "metadata": request.metadata or {},
        "model": request.model,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {
            "effort": reasoning.effort if reasoning is not None else None,
            "summary": reasoning.summary if reasoning is not None else None,
        },
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": {"format": {"type": "text"} if wanted is None else wanted},
        "tool_choice": request.tool_choice or "auto",
        "tools": request.tools or [],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": request.truncation or "disabled",
        "user": request.user,
    }
