"""What a strict chat template insists on, done to the chat messages before they are sent.

Which of it a template insists on is found out once, by the probe. Templates that insist on nothing
get the messages as they are. Each change looks only at neighbours between two answers of the
model, so a longer conversation still begins with the messages of the shorter one.
"""

from __future__ import annotations

import hashlib
from typing import Any

from autosre_lab.proxy.messages.content import TEXT_SEPARATOR
from autosre_lab.proxy.profile import EngineProfile

__all__ = ["fit_template"]

_ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_LENGTH = 9
_BEGINNING = "[the conversation begins with an answer]"

ChatMessage = dict[str, Any]


def fit_template(messages: list[ChatMessage], engine: EngineProfile) -> list[ChatMessage]:
    """Return the messages as the engine's template takes them."""
    if engine.short_call_ids:
        messages = [_with_short_ids(message) for message in messages]
    if not engine.tool_role:
        messages = [_without_tool_role(message) for message in messages]
    if not engine.system_role:
        messages = _without_system_role(messages)
    if engine.alternating or not engine.user_after_results:
        messages = _merged(messages, fold_into_results=not engine.user_after_results)
    return messages


def _with_short_ids(message: ChatMessage) -> ChatMessage:
    if "tool_calls" in message:
        calls = [{**call, "id": _short(call["id"])} for call in message["tool_calls"]]
        return {**message, "tool_calls": calls}
    if message["role"] == "tool":
        return {**message, "tool_call_id": _short(message["tool_call_id"])}
    return message


def _short(id_: str) -> str:
    """Nine letters and digits that stand for an id, the same ones each time."""
    if len(id_) == _ID_LENGTH and id_.isascii() and id_.isalnum():
        return id_
    digest = hashlib.blake2b(id_.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    number, letters = int.from_bytes(digest, "big"), ""
    for _ in range(_ID_LENGTH):
        number, rest = divmod(number, len(_ID_ALPHABET))
        letters += _ID_ALPHABET[rest]
    return letters


def _without_tool_role(message: ChatMessage) -> ChatMessage:
    """Write calls and results as what was said; the template has no other place for them."""
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_result>\n{message['content']}\n</tool_result>"}
    if "tool_calls" not in message:
        return message
    calls = [
        f"[called the tool {call['function']['name']!r} with {call['function']['arguments']}]"
        for call in message["tool_calls"]
    ]
    texts = [message["content"], *calls] if message["content"] else calls
    rest = {name: value for name, value in message.items() if name != "tool_calls"}
    return {**rest, "content": TEXT_SEPARATOR.join(texts)}


def _without_system_role(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Write system messages as the user's; the leading one goes into the first thing said."""
    if messages and messages[0]["role"] == "system":
        first, rest = {**messages[0], "role": "user"}, messages[1:]
        if rest and rest[0]["role"] == "user":
            messages = [_joined(first, rest[0]), *rest[1:]]
        else:
            messages = [first, *rest]
    return [
        {**message, "role": "user"} if message["role"] == "system" else message
        for message in messages
    ]


def _merged(messages: list[ChatMessage], *, fold_into_results: bool) -> list[ChatMessage]:
    """Merge neighbours of one role, and begin with what a user said."""
    written: list[ChatMessage] = []
    for message in messages:
        role, before = message["role"], written[-1]["role"] if written else "system"
        if before == "system" and role == "assistant":
            written.append({"role": "user", "content": _BEGINNING})
        elif role == before and role in ("user", "assistant"):
            written[-1] = _joined(written[-1], message)
            continue
        elif role == "user" and before == "tool" and fold_into_results:
            texts = [written[-1]["content"], _text_of(message["content"])]
            written[-1] = {**written[-1], "content": TEXT_SEPARATOR.join(filter(None, texts))}
            continue
        written.append(message)
    return written


def _joined(first: ChatMessage, second: ChatMessage) -> ChatMessage:
    both = {**first, **second, "content": _both(first["content"], second["content"])}
    if "reasoning" in first and "reasoning" in second:
        both["reasoning"] = f"{first['reasoning']}{TEXT_SEPARATOR}{second['reasoning']}"
    if "tool_calls" in first and "tool_calls" in second:
        both["tool_calls"] = first["tool_calls"] + second["tool_calls"]
    return both


def _both(first: str | list[Any], second: str | list[Any]) -> str | list[Any]:
    if isinstance(first, str) and isinstance(second, str):
        return TEXT_SEPARATOR.join(filter(None, (first, second)))
    return _parts(first) + _parts(second)


def _parts(content: str | list[Any]) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _text_of(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    texts = (
        part.get("text", "[an image, which this model's template has no place for here]")
        for part in content
    )
    return TEXT_SEPARATOR.join(texts)
