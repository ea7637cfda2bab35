"""The conversation: the input's items as chat messages.

One rule keeps the engine's prefix cache alive: items are written in their order, and what was
written for a shorter input is how a longer one begins. An answer is several items (reasoning, text,
calls); they become one assistant message, as the chat template rendered it when it was generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from autosre_lab.proxy.arguments import is_json_object, meant_object
from autosre_lab.proxy.messages.content import (
    TEXT_SEPARATOR,
    ImagePart,
    Part,
    chat_content,
    joined_text,
)
from autosre_lab.proxy.messages.request import without_lone_surrogates
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.responses.compaction import COMPACTION_MARK
from autosre_lab.proxy.responses.content import parts_of, text_of
from autosre_lab.proxy.responses.request import InputItem
from autosre_lab.proxy.responses.search import FoundBefore, same_question
from autosre_lab.proxy.responses.tools import CUSTOM_FIELD, DeclaredTools
from autosre_lab.proxy.web_search import shown_to_model

__all__ = ["chat_messages"]

ChatMessage = dict[str, Any]


_CALLS = ("function_call", "custom_tool_call", "local_shell_call")
_SYSTEM = ("system", "developer")
_FORGOTTEN = "[what this search found is not known any more; search again where it matters]"


class _Action(msgspec.Struct):
    query: Any = None


def chat_messages(
    instructions: str | None,
    items: Sequence[InputItem],
    engine: EngineProfile,
    tools: DeclaredTools,
    found: FoundBefore | None = None,
) -> list[ChatMessage]:
    """Write a whole input for the chat template.

    Args:
        instructions: The request's own instructions, which come first.
        items: The input.
        engine: What the served model can be shown.
        tools: The request's tools, by which calls of the history are named.
        found: What earlier searches found.
    """
    return _Writer(engine, tools, found or FoundBefore()).write(instructions, items)


class _Writer:
    """Writes items one after the other."""

    def __init__(self, engine: EngineProfile, tools: DeclaredTools, found: FoundBefore) -> None:
        self._engine = engine
        self._tools = tools
        self._found = found
        self._written: list[ChatMessage] = []
        self._answer: ChatMessage | None = None
        self._calls: list[str] = []
        self._results: list[tuple[str, ChatMessage]] = []
        self._shown: list[Part] = []
        # What was said between a call and its result: no chat template has a place for it there.
        self._held: list[ChatMessage] = []

    def write(self, instructions: str | None, items: Sequence[InputItem]) -> list[ChatMessage]:
        leading = [instructions] if instructions else []
        rest = list(items)
        while rest and _is_message(rest[0]) and rest[0].role in _SYSTEM:
            text = text_of(rest.pop(0).content)
            if text:
                leading.append(text)
        if leading:
            self._written.append({"role": "system", "content": TEXT_SEPARATOR.join(leading)})
        for item in rest:
            self._item(item)
        self._end_turn()
        return self._written

    def _item(self, item: InputItem) -> None:
        if item.type.endswith("_call_output"):
            self._output(item)
        elif item.type == "reasoning":
            self._reasoning(item)
        elif item.type in _CALLS:
            self._call(item)
        elif item.type == "web_search_call":
            self._searched(item)
        elif _is_message(item) and item.role == "assistant":
            self._said(text_of(item.content))
        elif _is_message(item):
            self._message(item)
        elif item.type in ("compaction", "compaction_summary"):
            self._append_user([_compaction_text(item)])
        elif item.type != "compaction_trigger":
            self._append_user([_unknown(item)])

    # The answer of an earlier turn ----------------------------------------------------------------

    def _reasoning(self, item: InputItem) -> None:
        text = text_of(item.content) or text_of(item.summary)
        if not text.strip():
            return
        if self._answer is not None and (self._answer["content"] or "tool_calls" in self._answer):
            self._end_turn()
        answer = self._open_answer()
        before = answer.get("reasoning")
        answer["reasoning"] = text if before is None else before + TEXT_SEPARATOR + text

    def _said(self, text: str) -> None:
        if self._answer is not None and "tool_calls" in self._answer:
            self._end_turn()
        answer = self._open_answer()
        before = answer["content"]
        answer["content"] = f"{before}{TEXT_SEPARATOR}{text}" if before and text else before + text

    def _call(self, item: InputItem) -> None:
        answer = self._open_answer()
        call_id = item.call_id if isinstance(item.call_id, str) else str(item.id or "")
        name = item.name if isinstance(item.name, str) else ""
        namespace = item.namespace if isinstance(item.namespace, str) else None
        if item.type == "local_shell_call":
            name = name or "local_shell"
        self._calls.append(call_id)
        answer.setdefault("tool_calls", []).append(
            {
                "id": call_id,
                "type": "function",
                "function": {
                    "name": self._tools.flat_name(name, namespace),
                    "arguments": _arguments(item),
                },
            }
        )

    def _searched(self, item: InputItem) -> None:
        """Write a search as the model called it and saw it answered."""
        item_id = item.id if isinstance(item.id, str) else ""
        if self._results and not same_question(self._results[-1][0], item_id):
            self._end_turn()
        answer = self._answer or self._open_answer()
        arguments = msgspec.json.encode({"query": _query(item)}).decode()
        function = {"name": self._tools.search_name or "web_search", "arguments": arguments}
        self._calls.append(item_id)
        answer.setdefault("tool_calls", []).append(
            {"id": item_id, "type": "function", "function": function}
        )
        found = self._found.of(item_id)
        content = _FORGOTTEN if found is None else shown_to_model(found)
        self._results.append(
            (item_id, {"role": "tool", "tool_call_id": item_id, "content": content})
        )

    def _open_answer(self) -> ChatMessage:
        if self._results:
            self._end_turn()
        if self._answer is None:
            self._answer = {"role": "assistant", "content": ""}
            self._calls = []
        return self._answer

    def _end_answer(self) -> None:
        if self._answer is not None:
            self._written.append(self._answer)
            self._answer = None

    def _end_turn(self) -> None:
        """Write results in the order of their calls: templates without ids pair them by it."""
        self._end_answer()
        order = {call_id: place for place, call_id in enumerate(self._calls)}
        self._results.sort(key=lambda one: order.get(one[0], len(order)))
        self._written += [message for _, message in self._results]
        if self._shown:
            self._written.append({"role": "user", "content": chat_content(self._shown)})
        self._written += self._held
        self._results, self._shown, self._held, self._calls = [], [], [], []

    # Results --------------------------------------------------------------------------------------

    def _output(self, item: InputItem) -> None:
        self._end_answer()
        call_id = item.call_id if isinstance(item.call_id, str) else ""
        texts: list[Part] = []
        for part in parts_of(item.output, images=self._engine.images):
            if isinstance(part, ImagePart):
                number = sum(isinstance(one, ImagePart) for one in self._shown) + 1
                texts.append(f"[image {number}: shown in the next message]")
                self._shown += [f"[image {number}]", part]
            else:
                texts.append(part)
        message = {"role": "tool", "tool_call_id": call_id, "content": joined_text(texts)}
        self._results.append((call_id, message))

    # What others said -----------------------------------------------------------------------------

    def _message(self, item: InputItem) -> None:
        if item.role not in _SYSTEM:
            self._append_user(parts_of(item.content, images=self._engine.images))
            return
        text = text_of(item.content)
        if text and self._engine.mid_system == "system":
            self._append({"role": "system", "content": text})
        elif text:
            reminder = f"<system-reminder>\n{text}\n</system-reminder>"
            self._append({"role": "user", "content": reminder})

    def _append_user(self, parts: list[Part]) -> None:
        self._append({"role": "user", "content": chat_content(parts)})

    def _append(self, message: ChatMessage) -> None:
        answered = {call_id for call_id, _ in self._results}
        if any(call_id not in answered for call_id in self._calls):
            self._held.append(message)
            return
        self._end_turn()
        self._written.append(message)


def _is_message(item: InputItem) -> bool:
    return item.type == "message" or (not item.type and bool(item.role))


def _arguments(item: InputItem) -> str:
    """Write a call's arguments as the JSON object that chat templates and vLLM want."""
    if item.type == "custom_tool_call":
        return msgspec.json.encode({CUSTOM_FIELD: _string(item.input)}).decode()
    if item.type == "local_shell_call":
        action = bytes(item.action).decode("utf-8", "replace").strip()
        return action if action.startswith("{") else "{}"
    text = _string(item.arguments).strip()
    if not text and bytes(item.arguments).startswith(b"{"):
        return bytes(item.arguments).decode("utf-8", "replace")
    # A model's own broken JSON comes back in every later turn; some engines refuse it each time.
    meant = meant_object(without_lone_surrogates(text.encode()).decode())
    if is_json_object(meant):
        return meant
    return msgspec.json.encode({"malformed_arguments": text}).decode()


def _query(item: InputItem) -> str:
    try:
        action = msgspec.json.decode(item.action, type=_Action)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return action.query if isinstance(action.query, str) else ""


def _compaction_text(item: InputItem) -> str:
    content = item.encrypted_content if isinstance(item.encrypted_content, str) else ""
    if content.startswith(COMPACTION_MARK):
        return content.removeprefix(COMPACTION_MARK)
    return "[an earlier part of the conversation was compacted by another server and is unreadable]"


def _unknown(item: InputItem) -> str:
    kind = item.type or "without a type"
    fields = {
        "name": item.name,
        "action": item.action or None,
        "output": item.output or None,
        "content": item.content or None,
    }
    shown = msgspec.json.encode({key: value for key, value in fields.items() if value is not None})
    return f"[item of type {kind}: {shown.decode('utf-8', 'replace')}]"


def _string(raw: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
