"""Chat templates of the vendors' constructions, rendered as vLLM renders them.

Written here; each has what makes a kind of template lose a cached prefix. `rendered` does what vLLM
0.32 does with a request: its own `chat_template_kwargs` come before its list of tools, arguments of
calls become objects, and parts of text become one text.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox

from autosre_lab.proxy.upstream import TemplateRejectedError

__all__ = ["TEMPLATES", "TemplateEngine", "rendered"]

FOLDER = Path(__file__).with_name("templates")
TEMPLATES = sorted(path.stem for path in FOLDER.glob("*.jinja"))


def rendered(template: str, body: Mapping[str, Any]) -> str:
    """Return the text of a chat or tokenize body.

    Args:
        template: One of `TEMPLATES`, or a template's source.
        body: What vLLM was sent.
    """
    tools = [_dumped(tool) for tool in body["tools"]] if body.get("tools") else None
    arguments = {
        "add_generation_prompt": body.get("add_generation_prompt", True),
        "tools": tools,
        **(body.get("chat_template_kwargs") or {}),
    }
    messages = [_parsed(message) for message in body["messages"]]
    return str(_compiled(template).render(messages=messages, **arguments))


@functools.cache
def _compiled(template: str) -> jinja2.Template:
    source = template
    if template in TEMPLATES:
        source = (FOLDER / f"{template}.jinja").read_text("utf-8")
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(source)


class TemplateEngine:
    """Answers what the proxy asks of an engine's template; a character is a token."""

    def __init__(self, template: str) -> None:
        self.template = template

    async def tokenize(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what vLLM's `/tokenize` would."""
        try:
            text = rendered(self.template, body)
        except (jinja2.TemplateError, TypeError) as error:
            raise TemplateRejectedError(str(error)) from error
        tokens = list(map(ord, text))
        return {"count": len(tokens), "tokens": tokens, "token_strs": _words(text)}


def _words(text: str) -> list[str]:
    return re.findall(r"<\|[^|]*\|>|.", text, re.DOTALL)


def _tojson(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> str:
    raise jinja2.TemplateError(message)


def _dumped(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as vLLM's own type writes it."""
    function = tool["function"]
    own = {name: function.get(name) for name in ("name", "description", "parameters")}
    further = {name: function[name] for name in ("strict", "defer_loading") if name in function}
    return {"type": "function", "function": own | further}


def _parsed(message: dict[str, Any]) -> dict[str, Any]:
    parsed = dict(message)
    content = message.get("content")
    if isinstance(content, list) and all(part["type"] == "text" for part in content):
        parsed["content"] = "\n".join(part["text"] for part in content)
    if "tool_calls" in message:
        parsed["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": _object(call)}}
            for call in message["tool_calls"]
        ]
    return parsed


def _object(call: dict[str, Any]) -> object:
    return json.loads(call["function"]["arguments"])
