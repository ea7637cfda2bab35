"""Content blocks as text and images: the only two things a chat template knows.

What the model cannot be shown becomes a line that says so. A conversation must go on whatever a
client put into its history, so nothing here refuses a block.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from autosre_lab.proxy.messages.request import (
    BlockSource,
    ContentBlock,
    decode_blocks,
    without_lone_surrogates,
)
from autosre_lab.proxy.messages.search import found_before

__all__ = [
    "BILLING_HEADER",
    "TEXT_SEPARATOR",
    "ImagePart",
    "Part",
    "changed_tool",
    "chat_content",
    "joined_text",
    "parts_of",
    "result_parts",
    "without_billing_header",
]

BILLING_HEADER = "x-anthropic-billing-header"
TEXT_SEPARATOR = "\n\n"
_NO_IMAGES = "[image omitted: the served model cannot see images]"


class ImagePart(NamedTuple):
    """An image, as a URL or a data URL."""

    url: str


Part = str | ImagePart

_TOLD = frozenset({"compaction", "mcp_tool_listing"})
"""Blocks that are nothing but the text inside of them: a summary of all before, a list of tools."""

_KNOWN = _TOLD | {
    "text",
    "image",
    "document",
    "search_result",
    "tool_reference",
    "tool_addition",
    "tool_removal",
    "tool_use",
    "server_tool_use",
    "mcp_tool_use",
}

_source_decoder = msgspec.json.Decoder(BlockSource)


class _Named(msgspec.Struct):
    name: str = ""


class _ToolChange(msgspec.Struct):
    type: str = ""
    name: str = ""
    tool_name: str = ""
    definition: _Named | None = None


_change_decoder = msgspec.json.Decoder(_ToolChange)


def parts_of(content: str | Iterable[ContentBlock] | None, *, images: bool) -> list[Part]:
    """Turn content into texts and images, in order. Empty texts are left out.

    Args:
        content: What stands in a message, a tool result or a document.
        images: The model sees images; otherwise a line of text stands for each.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [content] if content else []
    parts: list[Part] = []
    for block in content:
        part = _part(block, images=images)
        if part:
            parts.append(part)
    return parts


def result_parts(content: msgspec.Raw, *, images: bool) -> list[Part]:
    """Turn a tool result's content into texts and images.

    What is no content of the Messages API is the tool's own JSON, and the model gets it as such: a
    whole value of another shape, or a block of a type that nobody here knows.
    """
    blocks = decode_blocks(content)
    if blocks is None:
        data = without_lone_surrogates(bytes(content))
        return [] if data in (b"", b"null") else [data.decode("utf-8", "replace")]
    if isinstance(blocks, str) or all(_known(block) for block in blocks):
        return parts_of(blocks, images=images)
    parts: list[Part] = []
    own = msgspec.json.decode(
        without_lone_surrogates(bytes(content)), type=list[dict[str, msgspec.Raw]]
    )
    for block, raw in zip(blocks, own, strict=True):
        parts += parts_of([block], images=images) if _known(block) else [_as_json(raw)]
    return parts


def joined_text(parts: Iterable[Part]) -> str:
    """Join the texts; images stand in it as lines."""
    return TEXT_SEPARATOR.join(part if isinstance(part, str) else "[image]" for part in parts)


def chat_content(parts: list[Part]) -> str | list[dict[str, Any]]:
    """Write parts as the `content` of a chat message.

    Text alone is always one string, however many blocks it came in: a client may send a message
    as a string today and as a block tomorrow, and both must render to the same tokens.
    """
    if not any(isinstance(part, ImagePart) for part in parts):
        return joined_text(parts)
    items: list[dict[str, Any]] = []
    texts: list[Part] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if texts:
            items.append({"type": "text", "text": joined_text(texts)})
            texts = []
        items.append({"type": "image_url", "image_url": {"url": part.url}})
    if texts:
        items.append({"type": "text", "text": joined_text(texts)})
    return items


def changed_tool(block: ContentBlock) -> str:
    """The name of the tool that a tool_reference, tool_addition or tool_removal is about.

    The latter two hold it inside `tool`: a reference, or a definition by value.
    """
    try:
        change = _change_decoder.decode(block.tool)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        change = _ToolChange()
    definition = change.definition.name if change.definition is not None else ""
    return (
        change.name
        or change.tool_name
        or definition
        or _string(block.tool_name)
        or _string(block.name)
    )


def without_billing_header(text: str) -> str:
    """Strip Claude Code's attribution line, which differs between requests of one session."""
    if not text.startswith(BILLING_HEADER):
        return text
    return text.partition("\n")[2]


def _part(block: ContentBlock, *, images: bool) -> Part:
    kind = block.type
    if kind == "text":
        return _string(block.text)
    if kind == "image":
        return _image(block, images=images)
    if kind == "document":
        return _document(block, images=images)
    if kind == "search_result":
        source = _json_string(block.source)
        return _element("search_result", {"title": block.title, "source": source}, _inner(block))
    if kind in ("tool_reference", "tool_addition", "tool_removal"):
        return _tool_change(block)
    if kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        return f"[called the tool {_string(block.name)!r} with {_raw_text(block.input) or '{}'}]"
    if kind == "web_search_tool_result":
        return found_before(block)
    if kind.endswith("tool_result"):
        return _element("tool_result", {"type": kind}, _inner(block) or _raw_text(block.content))
    if kind in _TOLD:
        return _text_inside(block)
    return _text_inside(block) or _omitted(f"content block of type {kind!r}")


def _as_json(block: dict[str, msgspec.Raw]) -> str:
    """A block as it came, but for the mark that moves from request to request."""
    values = {name: value for name, value in block.items() if name != "cache_control"}
    return msgspec.json.encode(values).decode("utf-8", "replace")


def _known(block: ContentBlock) -> bool:
    return block.type in _KNOWN or block.type.endswith("tool_result")


def _text_inside(block: ContentBlock) -> str:
    """The text of a block whose type says nothing to us: its own, or that of what it holds."""
    return _string(block.text) or _inner(block)


def _image(block: ContentBlock, *, images: bool) -> Part:
    if not images:
        return _NO_IMAGES
    source = _source(block)
    if source is not None and source.type == "url" and source.url:
        # The engine would fetch whatever is named: a cloud's metadata, this machine, a file.
        if source.url[:11].lower() == "data:image/":
            return ImagePart(source.url)
        return (
            f"[image omitted: nothing is fetched for the model by its URL, {_quoted(source.url)}; "
            "send its bytes as base64]"
        )
    if source is not None and source.data and source.type in ("base64", ""):
        if source.data[:11].lower() == "data:image/":  # some clients put the whole URL there
            return ImagePart(source.data)
        return ImagePart(f"data:{source.media_type or 'image/png'};base64,{source.data}")
    return _omitted("image", detail="neither base64 nor a URL")


def _document(block: ContentBlock, *, images: bool) -> str:
    source = _source(block)
    about = {"title": block.title, "context": block.context}
    if source is None:
        return _omitted("document", about, detail="without a source")
    if source.type == "text":
        return _element("document", about, source.data)
    if source.type == "content":
        return _element(
            "document", about, joined_text(parts_of(decode_blocks(source.content), images=False))
        )
    if source.type == "base64" and source.media_type.startswith("text/"):
        try:
            data = base64.b64decode(source.data)
        except (binascii.Error, ValueError):
            return _omitted("document", about, detail="its base64 is damaged")
        return _element("document", about, data.decode("utf-8", "replace"))
    if source.type == "base64":
        size = len(source.data) * 3 // 4
        return _omitted("document", about, detail=f"{source.media_type}, about {size} bytes")
    return _omitted("document", about, detail=source.url or f"source of type {source.type!r}")


def _tool_change(block: ContentBlock) -> str:
    name = changed_tool(block)
    if block.type == "tool_removal":
        return f"[tool no longer available: {name}; a call of it is refused]"
    return f"[tool available: {name}]"


def _inner(block: ContentBlock) -> str:
    return joined_text(parts_of(decode_blocks(block.content), images=False))


def _element(name: str, attributes: dict[str, object], text: str) -> str:
    written = "".join(
        f" {key}={_quoted(value)}" for key, value in attributes.items() if isinstance(value, str)
    )
    return f"<{name}{written}>\n{text}\n</{name}>"


def _omitted(what: str, about: dict[str, object] | None = None, *, detail: str = "") -> str:
    named = [_quoted(value) for value in (about or {}).values() if isinstance(value, str)]
    title = f" {named[0]}" if named else ""
    described = f" ({detail})" if detail else ""
    return f"[{what}{title}{described} omitted: the served model cannot read it]"


def _source(block: ContentBlock) -> BlockSource | None:
    try:
        return _source_decoder.decode(block.source)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode("utf-8")


def _raw_text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode("utf-8", "replace")


def _json_string(raw: msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
