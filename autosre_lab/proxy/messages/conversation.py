"""The conversation: Anthropic's messages as chat messages.

One rule keeps the engine's prefix cache alive: each Anthropic message is written by itself, never
merged with its neighbour and never moved, so a longer conversation begins with the very messages
of the shorter one. (The one thing that moves is a system reminder between a tool call and its
result, where no chat template has a place for a user's text; it goes right behind the results.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from autosre_lab.proxy.blocks import MALFORMED_ARGUMENTS
from autosre_lab.proxy.messages.content import (
    TEXT_SEPARATOR,
    Image,
    Part,
    chat_content,
    joined_text,
    parts_of,
    without_billing_header,
)
from autosre_lab.proxy.messages.request import (
    ContentBlock,
    InputMessage,
    decode_blocks,
    without_lone_surrogates,
)
from autosre_lab.proxy.profile import EngineProfile

__all__ = ["chat_messages", "system_text"]

ChatMessage = dict[str, Any]

_SAYS_ERROR = ("error", "<tool_use_error", "<error")


def chat_messages(
    system: str | list[ContentBlock] | None,
    messages: Sequence[InputMessage],
    engine: EngineProfile,
) -> list[ChatMessage]:
    """Write a whole conversation for the chat template.

    Args:
        system: The request's top-level system prompt.
        messages: The conversation.
        engine: What the served model can be shown.

    Returns:
        Chat messages that any version of vLLM takes and an OpenAI client library would type.
    """
    written: list[ChatMessage] = []
    leading = system_text(system)
    if leading:
        written.append({"role": "system", "content": leading})
    reminders: list[ChatMessage] = []
    awaiting_results = False
    for message in messages:
        if message.role == "system":
            text = system_text(message.content)
            if not text:
                continue
            if engine.mid_system == "system" or not written:
                written.append({"role": "system", "content": text})
                continue
            reminder = f"<system-reminder>\n{text}\n</system-reminder>"
            target = reminders if awaiting_results else written
            target.append({"role": "user", "content": reminder})
        elif message.role == "assistant":
            written += reminders
            reminders = []
            answer = _assistant(message.content)
            awaiting_results = "tool_calls" in answer
            written.append(answer)
        else:
            results, rest = _user(message.content, engine)
            written += results + reminders + rest
            reminders = []
            awaiting_results = False
    return written + reminders


def system_text(content: str | list[ContentBlock] | None) -> str:
    """Join a system prompt's blocks, without Claude Code's billing line."""
    if isinstance(content, str):
        return without_billing_header(content)
    texts = (joined_text(parts_of([block], images=False)) for block in content or ())
    return TEXT_SEPARATOR.join(filter(None, map(without_billing_header, texts)))


def _assistant(content: str | list[ContentBlock] | None) -> ChatMessage:
    if content is None or isinstance(content, str):
        return {"role": "assistant", "content": content or ""}
    thoughts: list[str] = []
    visible: list[ContentBlock] = []
    calls: list[dict[str, Any]] = []
    for block in content:
        if block.type == "thinking":
            # Ours come back empty where they only kept the client waiting.
            if isinstance(block.thinking, str) and block.thinking.strip():
                thoughts.append(block.thinking)
        elif block.type == "redacted_thinking":
            continue
        elif block.type == "tool_use":
            calls.append(_call(block))
        else:
            visible.append(block)
    message: ChatMessage = {
        "role": "assistant",
        "content": joined_text(parts_of(visible, images=False)),
    }
    if thoughts:
        message["reasoning"] = TEXT_SEPARATOR.join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def _call(block: ContentBlock) -> dict[str, Any]:
    return {
        "id": block.id if isinstance(block.id, str) else "",
        "type": "function",
        "function": {
            "name": block.name if isinstance(block.name, str) else "",
            "arguments": _arguments(block.input),
        },
    }


def _arguments(raw: msgspec.Raw) -> str:
    """Write a call's input as the string that stands in `arguments`: always a JSON object.

    vLLM up to 0.24 answers 400 to a history that holds anything else, on every later turn.
    """
    data = bytes(raw)
    if b"\\ud" in data:
        data = without_lone_surrogates(data)
    text = data.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        return text
    if text in ("", "null", '""'):
        return "{}"
    return f'{{"{MALFORMED_ARGUMENTS}":{text}}}'


def _user(
    content: str | list[ContentBlock] | None, engine: EngineProfile
) -> tuple[list[ChatMessage], list[ChatMessage]]:
    """Write one user message: its tool results first, then what the user said or showed.

    A reminder in front of what the user said becomes a message of its own, where the template
    takes it: read in one piece with a question, small models answer the reminder.
    """
    if content is None or isinstance(content, str):
        return [], [{"role": "user", "content": content or ""}]
    results: list[ChatMessage] = []
    shown: list[Part] = []
    said: list[ContentBlock] = []
    for block in content:
        if block.type == "tool_result":
            results.append(_result(block, shown, images=engine.images))
        else:
            said.append(block)
    apart: list[ChatMessage] = []
    if engine.mid_system == "system" and not results:
        while len(said) > 1 and _is_reminder(said[0]):
            reminder = joined_text(parts_of([said.pop(0)], images=False))
            apart.append({"role": "user", "content": reminder})
    parts = shown + parts_of(said, images=engine.images)
    if not parts and results:
        return results, []
    return results, [*apart, {"role": "user", "content": chat_content(parts)}]


def _is_reminder(block: ContentBlock) -> bool:
    text = block.text.strip() if block.type == "text" and isinstance(block.text, str) else ""
    return text.startswith("<system-reminder>") and text.endswith("</system-reminder>")


def _result(block: ContentBlock, shown: list[Part], *, images: bool) -> ChatMessage:
    """Write one tool result; its images, which a tool message cannot hold, go to `shown`."""
    nested = decode_blocks(block.content)
    if nested is None and bytes(block.content) not in (b"", b"null"):
        nested = bytes(block.content).decode("utf-8", "replace")
    texts: list[Part] = []
    for part in parts_of(nested, images=images):
        if isinstance(part, Image):
            label = f"[image {sum(isinstance(one, Image) for one in shown) + 1}]"
            texts.append(f"{label[:-1]}: shown in the next message]")
            shown += [label, part]
        else:
            texts.append(part)
    text = joined_text(texts)
    if block.is_error is True and not text.lstrip().lower().startswith(_SAYS_ERROR):
        text = f"Error: {text}"
    return {
        "role": "tool",
        "tool_call_id": block.tool_use_id if isinstance(block.tool_use_id, str) else "",
        "content": text,
    }
