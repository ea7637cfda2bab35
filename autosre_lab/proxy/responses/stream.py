"""Chat Completions chunks in, the Responses API's server-sent events out.

What Codex lives by (measured with 0.169 and 0.171): an item counts when its `output_item.done`
arrives, text that was only in deltas is lost, and a tool runs at that moment, so each item is
written once. `response.in_progress` keeps its watchdog quiet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from autosre_lab.proxy.blocks import UNNAMED_TOOL, Block, Delta
from autosre_lab.proxy.refusals import Refusal
from autosre_lab.proxy.responses.compaction import COMPACTION_MARK
from autosre_lab.proxy.responses.errors import error_message, failure_code
from autosre_lab.proxy.responses.events import EventWriter, encode
from autosre_lab.proxy.responses.search import FoundBefore, annotation, search_item
from autosre_lab.proxy.responses.tools import CUSTOM_FIELD, Declared, DeclaredTools
from autosre_lab.proxy.searching import SearchingAnswer
from autosre_lab.proxy.web_search import Found, SearchAsk, query_of

__all__ = ["AnswerPlan", "ResponseStream"]

_NO_ARGUMENTS = "{}"
"""Of a call without any: clients read arguments as JSON."""

_EMPTY_SUMMARY = "the summary of the conversation came out empty; it is asked for again"
_PREFIXES = {
    "text": "msg",
    "thinking": "rs",
    "function": "fc",
    "custom": "ctc",
    "local_shell": "ls",
    "web_search": "ws",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPlan:
    """What an answer has to be.

    Attributes:
        response_id: Its id ("resp_…"), unique per request.
        created_at: Seconds since the epoch.
        echoed: The request's fields that a response repeats.
        tools: The request's tools, by which calls are given back.
        summary: It is a summary of the conversation, which must not be empty.
        as_compaction: It goes out as one `compaction` item.
        search: What the request says of web searches to be made here.
        sources: The client wants to be told the sources of a search.
        found: Where what was found is remembered.
    """

    response_id: str
    created_at: int
    echoed: dict[str, Any] = field(default_factory=dict)
    tools: DeclaredTools
    summary: bool = False
    as_compaction: bool = False
    inside_thinking: bool = False
    search: SearchAsk | None = None
    sources: bool = False
    found: FoundBefore = field(default_factory=FoundBefore)


class ResponseStream(SearchingAnswer):
    """One answer as the Responses API's events, or as one response object."""

    def __init__(self, plan: AnswerPlan) -> None:
        super().__init__(
            plan.response_id,
            call_prefix="call_",
            inside_thinking=plan.inside_thinking,
            search=plan.search,
        )
        self._plan = plan
        self._events = EventWriter()
        self._items: dict[int, dict[str, Any]] = {}
        self._status = "in_progress"
        self._completed_at: int | None = None
        self._error: dict[str, str] | None = None

    @property
    def stop_reason(self) -> str | None:
        """How the response ended; None before `finish()`."""
        return None if self._status == "in_progress" else self._status

    @property
    def output(self) -> list[dict[str, Any]]:
        """The items that are whole, in order."""
        return [self._items[index] for index in sorted(self._items)]

    # Events ---------------------------------------------------------------------------------------

    def opening(self) -> bytes:
        """Write `response.created` and `response.in_progress`."""
        return self._state("response.created") + self._state("response.in_progress")

    def keepalive(self) -> bytes:
        """Write `response.in_progress`: it resets the client's watchdog; a comment does not."""
        if not self.started:
            return self.start(0)
        return self._state("response.in_progress")

    def ending(self) -> bytes:
        """Write `response.completed`, or what else it came to."""
        events = b""
        if self._plan.as_compaction:
            events = self._compaction()
        elif self._plan.summary and not self._said():
            self._fail("server_error", _EMPTY_SUMMARY)
        if self._error is not None:
            return events + self._state("response.failed")
        if self.finish_reason in ("length", "content_filter"):
            self._status = "incomplete"
            return events + self._state("response.incomplete")
        self._status, self._completed_at = "completed", int(time.time())
        return events + self._state("response.completed")

    def refuse(self, refusal: Refusal) -> bytes:
        """Write `response.failed`: what was not whole is lost, and the client asks again."""
        self._fail(failure_code(refusal), error_message(refusal))
        return self._state("response.failed")

    def block_opened(self, block: Block, index: int) -> bytes:
        """Write that an item begins."""
        if self._plan.as_compaction:
            return b""
        events = self._events.event(
            "response.output_item.added",
            {"output_index": index, "item": self._item(block, index, "in_progress")},
        )
        place = self._place(block, index)
        if self.is_search(block):
            for state in ("in_progress", "searching"):
                events += self._events.event(f"response.web_search_call.{state}", place)
            return events
        if block.kind == "call":
            return events
        part = self._part(block, "")
        return events + self._events.event("response.content_part.added", {**place, "part": part})

    def delta_of(self, block: Block, index: int) -> Delta:
        """Return what writes an item's fragments; a free-form input is written when it is whole."""
        if self._plan.as_compaction or (
            block.kind == "call" and self._declared(block).kind != "function"
        ):
            return lambda _: b""
        kind, place = self._delta_kind(block), self._place(block, index)
        if block.kind == "text":
            place["logprobs"] = []
        fields = encode({"type": kind, **place})[:-1]
        head = b'event: %b\ndata: %b,"delta":' % (kind.encode(), fields)
        events = self._events
        return lambda text: events.delta(head, text)

    def block_closed(self, block: Block, index: int) -> bytes:
        """Write that an item is whole; an abandoned call never is, so the client forgets it."""
        if self._plan.as_compaction or block.abandoned:
            return b""
        cut = block is self.sequence.blocks[-1] and self.finish_reason == "length"
        status = "incomplete" if cut and not (block.kind == "call" and block.complete) else None
        item = self._item(block, index, status or "completed")
        self._items[index] = item
        return self._done_events(block, index, item) + self._events.event(
            "response.output_item.done", {"output_index": index, "item": item}
        )

    def search_id(self, block: Block) -> str:
        """Return the id of a search's item ("ws_…")."""
        return self._item_id(block, self.sequence.blocks.index(block))

    def end_search(self, block: Block, found: Found) -> bytes:
        """Write what a search came to, and remember it: its item has no room for it."""
        self._plan.found.learn(self.search_id(block), found)
        return super().end_search(block, found)

    def whole(self) -> bytes:
        """Return the response object as JSON, after `finish()`."""
        return encode(self.response())

    # Items ----------------------------------------------------------------------------------------

    def _done_events(self, block: Block, index: int, item: dict[str, Any]) -> bytes:
        place = self._place(block, index)
        if block.kind != "call":
            content = block.content
            kind = "response.output_text.done"
            if block.kind == "thinking":
                kind = "response.reasoning_text.done"
            extra: dict[str, Any] = {"logprobs": []} if block.kind == "text" else {}
            part = self._part(block, content)
            return b"".join(
                (
                    *self._annotations_added(place, part),
                    self._events.event(kind, {**place, "text": content, **extra}),
                    self._events.event("response.content_part.done", {**place, "part": part}),
                )
            )
        if self.is_search(block):
            if item["status"] != "completed":
                return b""
            return self._events.event("response.web_search_call.completed", place)
        if item["type"] == "function_call":
            written = b""
            if item["arguments"] == _NO_ARGUMENTS and not block.content.strip():
                written = self.delta_of(block, index)(_NO_ARGUMENTS)
            return written + self._events.event(
                "response.function_call_arguments.done",
                {**place, "name": item["name"], "arguments": item["arguments"]},
            )
        if item["type"] == "custom_tool_call":
            text = item["input"]
            kind = "response.custom_tool_call_input"
            return self._events.event(f"{kind}.delta", {**place, "delta": text}) + (
                self._events.event(f"{kind}.done", {**place, "input": text})
            )
        return b""

    def _annotations_added(self, place: dict[str, Any], part: dict[str, Any]) -> Iterator[bytes]:
        for number, one in enumerate(part.get("annotations", ())):
            yield self._events.event(
                "response.output_text.annotation.added",
                {**place, "annotation_index": number, "annotation": one},
            )

    def _part(self, block: Block, text: str) -> dict[str, Any]:
        if block.kind == "thinking":
            return {"type": "reasoning_text", "text": text}
        cited = list(map(annotation, self.citations(text)))
        return {"type": "output_text", "text": text, "annotations": cited, "logprobs": []}

    def _search_item(self, block: Block, item_id: str, status: str) -> dict[str, Any]:
        found = self.found.get(block)
        if found is not None:
            status = "completed" if found.code == "results" else "failed"
        query = query_of(block.content)
        return search_item(item_id, status, query, found, sources=self._plan.sources)

    def _item(self, block: Block, index: int, status: str) -> dict[str, Any]:
        item_id = self._item_id(block, index)
        whole = status != "in_progress"
        if block.kind == "text":
            content = [self._part(block, block.content)] if whole else []
            return {
                "type": "message",
                "id": item_id,
                "status": status,
                "role": "assistant",
                "content": content,
            }
        if block.kind == "thinking":
            content = [self._part(block, block.content)] if whole else []
            return {
                "type": "reasoning",
                "id": item_id,
                "summary": [],
                "content": content,
                "encrypted_content": None,
                "status": status,
            }
        if self.is_search(block):
            return self._search_item(block, item_id, status)
        return self._call_item(block, item_id, status)

    def _call_item(self, block: Block, item_id: str, status: str) -> dict[str, Any]:
        declared = self._declared(block)
        arguments = block.content if status != "in_progress" else ""
        if declared.kind == "function" and not arguments.strip():
            arguments = _NO_ARGUMENTS if status == "completed" else ""
        item: dict[str, Any] = {"id": item_id, "status": status, "call_id": block.tool_id}
        if declared.kind == "custom":
            text = "" if status == "incomplete" else _free_form(arguments)
            item |= {"type": "custom_tool_call", "name": declared.name, "input": text}
        elif declared.kind == "local_shell":
            item |= {"type": "local_shell_call", "action": _shell_action(arguments)}
        else:
            item |= {"type": "function_call", "name": declared.name, "arguments": arguments}
        if declared.namespace is not None:
            item["namespace"] = declared.namespace
        return item

    def _declared(self, block: Block) -> Declared:
        name = block.tool_name or UNNAMED_TOOL
        return self._plan.tools.by_flat_name.get(name) or Declared(kind="function", name=name)

    def _item_id(self, block: Block, index: int) -> str:
        kind = self._declared(block).kind if block.kind == "call" else block.kind
        item_id = f"{_PREFIXES[kind]}_{self._plan.response_id.partition('_')[2]}_{index}"
        return f"{item_id}_{self.question_of(block)}" if self.is_search(block) else item_id

    def _place(self, block: Block, index: int) -> dict[str, Any]:
        place = {"item_id": self._item_id(block, index), "output_index": index}
        return place if block.kind == "call" else {**place, "content_index": 0}

    def _delta_kind(self, block: Block) -> str:
        if block.kind == "call":
            return "response.function_call_arguments.delta"
        return f"response.{'output' if block.kind == 'text' else 'reasoning'}_text.delta"

    # The response ---------------------------------------------------------------------------------

    def _said(self) -> str:
        texts = (block.content for block in self.sequence.blocks if block.kind == "text")
        return "".join(texts).strip()

    def _compaction(self) -> bytes:
        """Write the one item that a compaction answers with; an empty one never goes out."""
        summary = self._said()
        if not summary:
            self._fail("server_error", _EMPTY_SUMMARY)
            return b""
        item = {
            "type": "compaction",
            "id": f"cmp_{self._plan.response_id.partition('_')[2]}",
            "encrypted_content": COMPACTION_MARK + summary,
        }
        self._items[0] = item
        return self._events.event(
            "response.output_item.added", {"output_index": 0, "item": item}
        ) + self._events.event("response.output_item.done", {"output_index": 0, "item": item})

    def _fail(self, code: str, message: str) -> None:
        self._status = "failed"
        self._error = {"code": code, "message": message}

    def _state(self, kind: str) -> bytes:
        return self._events.event(kind, {"response": self.response()})

    def response(self) -> dict[str, Any]:
        """Return the response object as it is now."""
        ended = self._status != "in_progress"
        incomplete = None
        if self._status == "incomplete":
            reason = "content_filter" if self.finish_reason == "content_filter" else None
            incomplete = {"reason": reason or "max_output_tokens"}
        return {
            "id": self._plan.response_id,
            "object": "response",
            "created_at": self._plan.created_at,
            "completed_at": self._completed_at,
            "status": self._status,
            "error": self._error,
            "incomplete_details": incomplete,
            "output": self.output,
            "usage": self._usage() if ended else None,
            **self._plan.echoed,
        }

    def _usage(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "input_tokens": counts.prompt,
            "input_tokens_details": {"cached_tokens": counts.cached, "cache_write_tokens": 0},
            "output_tokens": counts.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": counts.prompt + counts.output,
        }


def _free_form(arguments: str) -> str:
    """Return a free-form tool's input: the one text of its arguments, or all that came.

    Small models write the text itself instead of the object that was asked for.
    """
    try:
        content = msgspec.json.decode(arguments.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return arguments
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        texts = [value for value in content.values() if isinstance(value, str)]
        if isinstance(content.get(CUSTOM_FIELD), str):
            return str(content[CUSTOM_FIELD])
        if len(content) == 1 and texts:
            return texts[0]
    return arguments


def _shell_action(arguments: str) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(arguments.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        content = None
    if not isinstance(content, dict):
        content = {}
    command = content.get("command")
    if isinstance(command, str):
        command = ["bash", "-lc", command]
    if not isinstance(command, list):
        command = []
    return {
        "type": "exec",
        "command": [str(word) for word in command],
        "env": {},
        "timeout_ms": content.get("timeout_ms"),
        "working_directory": content.get("workdir") or content.get("working_directory"),
        "user": None,
    }
