"""Request bodies of the Responses API, recorded and made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"
FUNCTION = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Patches.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: LINE+"},
}
NAMESPACE = {
    "type": "namespace",
    "name": "mcp__probe",
    "description": "Tools of a server.",
    "tools": [{"type": "function", "name": "add", "parameters": {"type": "object"}}],
}


def recorded(name: str) -> list[dict[str, Any]]:
    """Return a recorded session's requests: headers and body."""
    content = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    requests: list[dict[str, Any]] = content["requests"]
    return requests


def ask(*items: Any, **fields: Any) -> dict[str, Any]:
    """Return a body; a text is a user's message."""
    said = [said_by("user", item) if isinstance(item, str) else item for item in items]
    return {"model": "any-name", "input": said or "Hi", **fields}


def said_by(role: str, text: str) -> dict[str, Any]:
    """Return a message item."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def called(call_id: str, name: str = "look", **fields: Any) -> dict[str, Any]:
    """Return a function call of the history."""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}", **fields}


def result(call_id: str, output: Any = "done") -> dict[str, Any]:
    """Return a function call's output."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}
