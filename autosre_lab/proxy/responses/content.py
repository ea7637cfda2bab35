"""Content parts as text and images: the only two things a chat template knows."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from autosre_lab.proxy.messages.content import ImagePart, Part, joined_text

__all__ = ["parts_of", "text_of"]

_NO_IMAGES = "[image omitted: the served model cannot see images]"
_REMOTE = "[image omitted: it is not in the request, and this server fetches nothing for it]"

_NO_TEXT = ("application/pdf", "application/zip", "audio/", "font/", "image/", "video/")
"""Kinds of files that are no text, even where all their bytes are letters."""
_DRAWING = "image/svg+xml"


class _ContentPart(msgspec.Struct):
    """A part of any type; who uses a field checks it."""

    type: str = ""
    text: Any = None
    refusal: Any = None
    image_url: Any = None
    filename: Any = None
    file_data: Any = None
    file_url: Any = None
    file_id: Any = None


_decoder: msgspec.json.Decoder[str | list[_ContentPart] | None] = msgspec.json.Decoder(
    str | list[_ContentPart] | None
)


def parts_of(raw: msgspec.Raw, *, images: bool) -> list[Part]:
    """Turn content into texts and images, in order. Empty texts are left out.

    Args:
        raw: A string or a list of parts, as JSON; anything else is shown as the JSON it is.
        images: The model sees images; otherwise a line of text stands for each.
    """
    if not raw:
        return []
    try:
        content = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [bytes(raw).decode("utf-8", "replace")]
    if content is None:
        return []
    if isinstance(content, str):
        return [content] if content else []
    return [part for part in (_part(one, images=images) for one in content) if part]


def text_of(raw: msgspec.Raw) -> str:
    """Return content as one text; images stand in it as lines."""
    return joined_text(parts_of(raw, images=False))


def _part(part: _ContentPart, *, images: bool) -> Part:
    if isinstance(part.text, str):
        return part.text
    if part.type == "refusal" and isinstance(part.refusal, str):
        return part.refusal
    if part.type in ("input_image", "image_url", "computer_screenshot"):
        return _image(part, images=images)
    if part.type == "input_file":
        return _file(part, images=images)
    return f"[content of type {part.type!r} omitted: the served model cannot read it]"


def _image(part: _ContentPart, *, images: bool) -> Part:
    if not images:
        return _NO_IMAGES
    url = part.image_url
    if isinstance(url, dict):
        url = url.get("url")
    if isinstance(url, str) and url.startswith("data:"):
        return ImagePart(url)
    return _REMOTE


def _file(part: _ContentPart, *, images: bool) -> Part:
    name = part.filename if isinstance(part.filename, str) else "without a name"
    data = part.file_data if isinstance(part.file_data, str) else ""
    head, comma, encoded = data.partition(",")
    if not comma or not head.startswith("data:"):
        head, encoded = "", data
    if not encoded:
        return f"[file {name} omitted: it is not in the request]"
    kind = head.removeprefix("data:").partition(";")[0]
    if kind.startswith("image/") and images and kind != _DRAWING:
        return ImagePart(data)
    content = None if kind.startswith(_NO_TEXT) and kind != _DRAWING else _decoded(encoded)
    if content is None or content.startswith("%PDF-"):
        kind = kind or "not text"
        return f"[file {name} omitted: the served model cannot read it ({kind})]"
    return f"<file name={msgspec.json.encode(name).decode()}>\n{content}\n</file>"


def _decoded(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
