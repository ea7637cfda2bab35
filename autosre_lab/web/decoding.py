"""Bytes to text: what the bytes, the header and the page say of their encoding, in that order."""

from __future__ import annotations

import codecs
import re

__all__ = ["decode"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.I)
_SEARCHED_BYTES = 4096
_NEVER = frozenset(
    {"utf-7", "idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"}
)
"""Python's codecs that are no encodings of pages, or have served attacks."""
_BROWSERS_READ_AS = {"ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254"}
_DETECTED_BYTES = 200_000
_DETECTABLE = 100
"""Bytes beyond ASCII from which an encoding can be told."""


def decode(body: bytes, *, charset: str = "", may_declare: bool = False) -> str:
    """Return bytes as text; what cannot be decoded becomes U+FFFD.

    Args:
        body: The bytes.
        charset: What the header says; empty where it says nothing.
        may_declare: Whether the text itself may name its encoding, as HTML and XML do.
    """
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    if not body.isascii() and _is_utf8(body):
        return body.decode("utf-8", "replace")  # nothing else looks like it by chance
    candidates = [charset]
    declared = _DECLARED.search(body[:_SEARCHED_BYTES]) if may_declare else None
    if declared:
        candidates.append(declared[1].decode("ascii"))
    # Pages lie: what does not fit is not believed.
    for name in filter(None, map(_codec, candidates)):
        try:
            return body.decode(name)
        except UnicodeDecodeError:
            continue
    return body.decode(_detected(body) or "cp1252", "replace")


def _codec(label: str) -> str:
    try:
        info = codecs.lookup(label.strip("\"' ").lower())
    except (LookupError, ValueError):
        return ""
    if info.name in _NEVER or not getattr(info, "_is_text_encoding", True):
        return ""
    return _BROWSERS_READ_AS.get(info.name, info.name)


def _is_utf8(body: bytes) -> bool:
    """Whether at most a cut or broken character in twenty speaks against UTF-8."""
    return body.decode("utf-8", "replace").count("\ufffd") * 20 <= _high_bytes(body)


def _high_bytes(body: bytes) -> int:
    return len(body) - len(body.translate(None, bytes(range(0x80, 0x100))))


def _detected(body: bytes) -> str:
    if _high_bytes(body) < _DETECTABLE:
        return ""  # a guess from a few bytes is worse than what most such pages are
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return ""
    best = from_bytes(body[:_DETECTED_BYTES]).best()
    return _codec(best.encoding) if best is not None else ""
