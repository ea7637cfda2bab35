"""A request body in its plain form: decoded where it was compressed, never larger than allowed."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from autosre_lab.serving.reach import Denial

__all__ = ["BodyError", "plain_body", "too_large"]


class BodyError(Exception):
    """The body cannot be read; carries what the client is told."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial.message)
        self.denial = denial


def plain_body(raw: bytes, encoding: str, limit: int) -> bytes:
    """Undo a body's content encoding.

    gzip and deflate always; br and zstd where a library for them is installed.

    Args:
        raw: As it came.
        encoding: The `content-encoding` header; several, last first undone.
        limit: Bytes that it may have when decoded.

    Raises:
        BodyError: 400 for bytes that are not so encoded, 413 for too many, 415 for an encoding
            that nobody here can undo.
    """
    for name in reversed([one.strip().lower() for one in encoding.split(",")]):
        if name in ("", "identity"):
            continue
        undo = _UNDOERS.get(name)
        decoded = undo(raw, limit) if undo is not None else None
        if decoded is None:
            known = ", ".join(sorted(_UNDOERS))
            raise BodyError(
                Denial(
                    415,
                    f"a body with content-encoding {name[:40]!a} cannot be decoded here; send it "
                    f"without, or with gzip (known: {known})",
                )
            )
        raw = decoded
    if len(raw) > limit:
        raise BodyError(too_large(limit))
    return raw


def too_large(limit: int) -> Denial:
    """Return the denial of a body that has more than `limit` bytes."""
    return Denial(413, f"the request is larger than {limit // 1024**2} MB")


def _inflate(raw: bytes, limit: int, window: int, name: str) -> bytes:
    plain = b""
    while raw:
        undoer = zlib.decompressobj(window)
        try:
            plain += undoer.decompress(raw, limit + 1 - len(plain))
        except zlib.error as error:
            raise _not_encoded(name) from error
        if len(plain) > limit or undoer.unconsumed_tail:
            raise BodyError(too_large(limit))
        if not undoer.eof:
            raise _not_encoded(name)
        raw = undoer.unused_data  # gzip may have several members
    return plain


def _gunzip(raw: bytes, limit: int) -> bytes:
    return _inflate(raw, limit, 31, "gzip")


def _undeflate(raw: bytes, limit: int) -> bytes:
    # By the standard zlib's format; many send the bare stream.
    bare = not raw or (raw[0] & 0x0F) != 8
    return _inflate(raw, limit, -15 if bare else 15, "deflate")


def _unbrotli(raw: bytes, limit: int) -> bytes | None:
    brotli = _installed("brotli") or _installed("brotlicffi")
    if brotli is None:
        return None
    undoer = brotli.Decompressor()
    return _in_pieces(
        raw, limit, undoer.process if hasattr(undoer, "process") else undoer.decompress, "br"
    )


def _unzstd(raw: bytes, limit: int) -> bytes | None:
    if (standard := _installed("compression.zstd")) is not None:
        return _in_pieces(raw, limit, standard.ZstdDecompressor().decompress, "zstd")
    if (library := _installed("zstandard")) is not None:
        return _in_pieces(raw, limit, library.ZstdDecompressor().decompressobj().decompress, "zstd")
    return None


def _in_pieces(raw: bytes, limit: int, undo: Callable[[bytes], bytes], name: str) -> bytes:
    pieces: list[bytes] = []
    size = 0
    for at in range(0, len(raw), 4096):
        try:
            piece = undo(raw[at : at + 4096])
        except Exception as error:  # each library has its own
            raise _not_encoded(name) from error
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise BodyError(too_large(limit))
    return b"".join(pieces)


def _not_encoded(name: str) -> BodyError:
    return BodyError(Denial(400, f"the body is not {name}, though content-encoding says so"))


def _installed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


_UNDOERS: Mapping[str, Callable[[bytes, int], bytes | None]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
