"""Requests of the Messages API, sent one at a time and read event by event."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec

from autosre_lab.bench.target import Target
from autosre_lab.errors import EvaluationError
from autosre_lab.proxy.server_events import ServerEvents

__all__ = ["ApiReply", "Conversation"]


class ApiReply(msgspec.Struct, kw_only=True):
    """What came back.

    Attributes:
        status: HTTP status.
        events: Of a stream; empty otherwise.
        message: The message, put together from the events of a stream; the error body where the
            status is not 200.
        arguments: Each tool call's arguments as the text that was streamed, by block index.
    """

    status: int
    events: list[dict[str, Any]] = []
    message: dict[str, Any] = {}
    arguments: dict[int, str] = {}

    @property
    def text(self) -> str:
        """All text blocks joined."""
        return "".join(block["text"] for block in self.blocks if block.get("type") == "text")

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """Content blocks."""
        found: list[dict[str, Any]] = self.message.get("content") or []
        return found

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Tool calls."""
        return [block for block in self.blocks if block.get("type") == "tool_use"]

    @property
    def stop_reason(self) -> str:
        """Why it ended."""
        return str(self.message.get("stop_reason") or "")

    @property
    def input_tokens(self) -> int:
        """Prompt tokens, cached ones included."""
        usage = self.message.get("usage") or {}
        names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        return sum(int(usage.get(name) or 0) for name in names)

    @property
    def cached_tokens(self) -> int | None:
        """Prompt tokens from the prefix cache; None where the server does not say."""
        value = (self.message.get("usage") or {}).get("cache_read_input_tokens")
        return None if value is None else int(value)


class Conversation:
    """Sends requests to a target's Messages API. A context manager.

    Args:
        target: Of the protocol ``messages``.
        timeout_s: Seconds an answer may take.

    Raises:
        EvaluationError: The target speaks another API.
    """

    def __init__(self, target: Target, *, timeout_s: float = 600.0) -> None:
        if target.protocol != "messages":
            raise EvaluationError(
                f"{target.url} is asked through the {target.protocol} API",
                remedy="evaluate through the proxy, which speaks the Messages API",
            )
        self.target = target
        headers = {"anthropic-version": "2023-06-01"}
        if target.token:
            headers["authorization"] = f"Bearer {target.token}"
        self._client = httpx.Client(
            base_url=target.url, headers=headers, timeout=timeout_s, trust_env=False
        )

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, *, stream: bool = True, **fields: Any) -> ApiReply:
        """Send a request at temperature 0 and read its answer.

        Args:
            stream: As events.
            fields: Of the request.

        Raises:
            EvaluationError: There was no answer at all.
        """
        body = {"model": self.target.model, "max_tokens": 64, "temperature": 0, **fields}
        try:
            if stream:
                with self._client.stream(
                    "POST", "/v1/messages", json={**body, "stream": True}
                ) as response:
                    raw = b"".join(response.iter_bytes())
            else:
                response = self._client.post("/v1/messages", json=body)
                raw = response.content
        except httpx.HTTPError as error:
            raise EvaluationError(
                f"{self.target.url} does not answer: {error or type(error).__name__}",
                remedy="`autosre status` says whether the stack runs and why not",
            ) from error
        if response.status_code != 200 or not stream:
            return ApiReply(status=response.status_code, message=_object(raw))
        return read_events([_object(one) for one in ServerEvents().feed(raw)])


def read_events(events: list[dict[str, Any]]) -> ApiReply:
    """Put a message together from its events; whatever is wrong with them is left as it is."""
    answer = ApiReply(status=200, events=events, message={"content": []}, arguments={})
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        kind, at = event.get("type"), event.get("index", 0)
        if kind == "message_start":
            answer.message = {**(event.get("message") or {}), "content": []}
        elif kind == "content_block_start":
            blocks[at] = dict(event.get("content_block") or {})
        elif kind == "content_block_delta" and at in blocks:
            _append(blocks[at], event.get("delta") or {}, answer.arguments, at)
        elif kind == "message_delta":
            answer.message |= event.get("delta") or {}
            usage = {**(answer.message.get("usage") or {}), **(event.get("usage") or {})}
            answer.message["usage"] = usage
    for at, text in answer.arguments.items():
        blocks[at]["input"] = _object(text.encode())
    answer.message["content"] = [blocks[at] for at in sorted(blocks)]
    return answer


def _append(
    block: dict[str, Any], delta: dict[str, Any], arguments: dict[int, str], at: int
) -> None:
    for field in ("text", "thinking"):
        if field in delta:
            block[field] = block.get(field, "") + delta[field]
    if "partial_json" in delta:
        arguments[at] = arguments.get(at, "") + delta["partial_json"]


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
