from __future__ import annotations

import functools
import gzip
import sys
import types
import zlib

import pytest

from autosre_lab.serving.body import BodyError, plain_body

LIMIT = 1000
zipped = functools.partial(gzip.compress, mtime=0)  # the same at each collection


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (b"plain", ""),
        (b"plain", "identity"),
        (zipped(b"plain"), "gzip"),
        (zipped(b"pl") + zipped(b"ain"), "GZip"),
        (zlib.compress(b"plain"), "deflate"),
        (zlib.compress(b"plain")[2:-4], "deflate"),
        (zlib.compress(zipped(b"plain")), "gzip, deflate"),
    ],
)
def test_what_can_be_undone_is_undone(raw: bytes, encoding: str) -> None:
    assert plain_body(raw, encoding, LIMIT) == b"plain"


@pytest.mark.parametrize(
    ("raw", "encoding", "status"),
    [
        (b"plain", "gzip", 400),
        (b"plain", "deflate", 400),
        (zipped(b"plain")[:-3], "gzip", 400),
        (zipped(b"plain") + b"rest", "gzip", 400),
        (zipped(bytes(LIMIT + 1)), "gzip", 413),
        (zipped(bytes(50_000_000)), "gzip", 413),
        (zipped(zipped(bytes(50_000_000))), "gzip, gzip", 413),
        (bytes(LIMIT + 1), "", 413),
        (b"x", "compress", 415),
        (b"x", "\udcff", 415),
        (b"x", "br", 415),
        (b"x", "zstd", 415),
    ],
)
def test_what_cannot_is_told(raw: bytes, encoding: str, status: int) -> None:
    with pytest.raises(BodyError) as caught:
        plain_body(raw, encoding, LIMIT)
    assert caught.value.denial.status == status
    assert caught.value.denial.message.isascii()


class Doubling:
    """A decoder that gives each piece twice, in the place of a library that is not installed."""

    def process(self, piece: bytes) -> bytes:
        if piece == b"bad":
            raise RuntimeError("no brotli")
        return piece * 2


@pytest.mark.parametrize(("raw", "found"), [(b"ab", b"abab"), (b"x" * LIMIT, 413), (b"bad", 400)])
def test_a_library_for_br_is_used_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, raw: bytes, found: bytes | int
) -> None:
    library = types.ModuleType("brotli")
    library.Decompressor = Doubling  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "brotli", library)

    if isinstance(found, bytes):
        assert plain_body(raw, "br", LIMIT) == found
        return
    with pytest.raises(BodyError) as caught:
        plain_body(raw, "br", LIMIT)
    assert caught.value.denial.status == found
