"""Changes that make something valid into something odd, each from one seeded generator."""

from __future__ import annotations

import json
from random import Random
from typing import Any

__all__ = ["ODD", "changed", "cut_up", "respelled"]

ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    4,
    0.5,
    -0.0,
    1e308,
    2**31,
    2**63,
    -(2**70),
    10**40,
    "",
    " ",
    "\x00",
    "null",
    "\ud83d",
    "\udc4d",
    "👍",
    "\u2028",
    "<think>",
    "</think>",
    "data: [DONE]",
    "{",
    "}",
    '"',
    "a" * 5000,
    [],
    [[]],
    [None],
    {},
    {"": {}},
    {"type": "text"},
    {"type": "text", "text": None},
    {"type": "tool_use"},
    {"type": "image", "source": {"type": "url", "url": "http://169.254.169.254/"}},
    {"type": "new_kind", "content": [{"type": "text", "text": "x"}]},
    "http://127.0.0.1:1/",
    "file:///etc/passwd",
]
"""What a value is replaced by."""

_NOISE = [
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\n",
]
_WORDS = [b"null", b"\\ud800", b"1e999", b"NaN", b"-", b"[" * 600, b'{"a":' * 600, b"\xef\xbb\xbf"]


def changed(value: Any, random: Random, times: int) -> Any:
    """Return a copy of plain JSON objects with some values replaced, dropped, doubled or nested."""
    value = _copy(value)
    for _ in range(times):
        places = list(_places(value))
        if not places:
            break
        holder, key = random.choice(places)
        kind = random.random()
        if kind < 0.55:
            holder[key] = _copy(random.choice(ODD))
        elif kind < 0.7:
            del holder[key]
        elif kind < 0.8:
            other, name = random.choice(places)
            holder[key] = _copy(other[name])  # a copy: it may hold the holder
        elif kind < 0.9:
            holder[key] = [_copy(holder[key]) for _ in range(random.randint(1, 3))]
        elif isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), _copy(random.choice(ODD)))
        else:
            name = random.choice(["type", "id", "name", "content", "index", "x"])
            holder[name] = _copy(holder[key])
    return value


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _places(value: Any, depth: int = 0) -> Any:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield value, key
        if isinstance(one, dict | list) and depth < 30:
            yield from _places(one, depth + 1)


def respelled(data: bytes, random: Random, times: int) -> bytes:
    """Return bytes with some of them flipped, cut out, doubled or put in."""
    for _ in range(times):
        at = random.randrange(len(data) + 1)
        kind = random.random()
        if kind < 0.3:
            data = data[:at] + random.choice(_NOISE) + data[at + 1 :]
        elif kind < 0.5:
            data = data[:at] + random.choice(_WORDS) + data[at:]
        elif kind < 0.7:
            data = data[:at] + data[at + random.randint(1, 40) :]
        elif kind < 0.85:
            end = at + random.randint(1, 60)
            data = data[:end] + data[at:]
        else:
            data = data[:at]
    return data


def cut_up(data: bytes, random: Random, pieces: int) -> list[bytes]:
    """Return bytes in pieces that are cut anywhere."""
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randint(0, pieces)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
