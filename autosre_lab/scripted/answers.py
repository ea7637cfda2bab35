"""What the scripted engine says: little, always the same, and calls where it has to."""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Mapping
from typing import Any

from autosre_lab.bench.synthetic.text import prose
from autosre_lab.scripted.chat_engine import ToolCall, Turn

__all__ = ["answer_to"]

_GREETING = "This is a script: no model answers here."
_NEEDLE = re.compile(r"code word is (\w+)")
_PLACE = re.compile(r"\bin ([A-Z]\w+)")
_LONGEST = 48
_UNLIMITED = 4096


def answer_to(body: Mapping[str, Any], number: int) -> Turn:
    """Return the answer to a chat request.

    Args:
        body: The request.
        number: How many came before; makes the ids of tool calls unique.
    """
    asked = _last_words(body)
    # Without a limit an engine writes on until it is done, as far as the window goes.
    limit = int(body.get("max_completion_tokens") or body.get("max_tokens") or _UNLIMITED)
    if (name := _forced(body)) is not None:
        arguments = json.dumps(_example(_schema_of(body, name), asked))
        return Turn(tool_calls=[ToolCall(name=name, arguments=arguments, id=f"call_{number}")])
    wanted = (body.get("response_format") or {}).get("json_schema") or {}
    if schema := wanted.get("schema"):
        return Turn(text=json.dumps(_example(schema, asked)))
    needle = _NEEDLE.search(asked)
    # The same question gets the same answer.
    rng = random.Random(zlib.crc32(asked.encode()))  # noqa: S311 - a text, not a secret
    text = needle[1] if needle else f"{_GREETING} {prose(_LONGEST, rng)}"
    words = text.split(" ")
    if body.get("ignore_eos"):
        words = (words * (limit // len(words) + 1))[:limit]
        return Turn(text=" ".join(words), finish_reason="length")
    cut = len(words) > limit
    return Turn(text=" ".join(words[:limit]), finish_reason="length" if cut else None)


def _last_words(body: Mapping[str, Any]) -> str:
    for message in reversed(body.get("messages") or []):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            return "\n".join(str(part.get("text", "")) for part in content or [])
    return ""


def _forced(body: Mapping[str, Any]) -> str | None:
    """The tool that has to be called, if any."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        return str((choice.get("function") or {}).get("name"))
    tools = body.get("tools") or []
    return str(tools[0]["function"]["name"]) if choice == "required" and tools else None


def _schema_of(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    for tool in body.get("tools") or []:
        if tool["function"]["name"] == name:
            schema: Mapping[str, Any] = tool["function"].get("parameters") or {}
            return schema
    return {}


def _example(schema: Mapping[str, Any], asked: str) -> Any:
    """Return a value that fits a JSON schema's plain parts."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        named = schema.get("properties") or {}
        return {
            name: _example(named.get(name) or {}, asked) for name in schema.get("required") or named
        }
    places = _PLACE.findall(asked)
    plain = {"string": places[-1] if places else "scripted", "integer": 1, "number": 1}
    return plain.get(kind, [] if kind == "array" else kind == "boolean")
