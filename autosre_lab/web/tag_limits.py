"""Bounds the attributes of a tag before a parser meets them: for libxml2 they are quadratic."""

from __future__ import annotations

import re

__all__ = ["bound_attributes"]

MOST_ATTRIBUTES = 256
_LONG_TAG = 2_000
"""Characters of a tag from which its attributes are counted."""

_BEGINNING = re.compile(r"<(?:!--|(?P<name>[a-zA-Z][^\s/>]{0,50}))")
_REST = re.compile(r"""(?:[^"'>]++|"[^"]*+"|'[^']*+')*+>""")
_QUOTED = re.compile(r"""\"[^"]*+"|'[^']*+'""")
_RAW = frozenset({"script", "style", "textarea", "title", "xmp"})


def bound_attributes(page: str) -> str:
    """Return a page in which no tag has too many attributes, in linear time.

    An element that had them is hidden instead: no page for readers needs so many.
    """
    kept: list[str] = []
    done = place = 0
    while begin := _BEGINNING.search(page, place):
        if begin["name"] is None:
            place = page.find("-->", begin.end())
            if place < 0:
                break
            continue
        rest = _REST.match(page, begin.end())
        end = rest.end() if rest else len(page)  # a quote without an end reaches to the end
        if end - begin.start() > _LONG_TAG and _count(page[begin.end() : end]) > MOST_ATTRIBUTES:
            kept += (page[done : begin.start()], f"<{begin['name']} hidden>")
            done = end
        place = end
        if rest and begin["name"].lower() in _RAW:
            closing = re.compile(f"</{begin['name']}", re.IGNORECASE).search(page, end)
            place = closing.start() if closing else len(page)
            if closing is None:
                break
    return "".join((*kept, page[done:])) if kept else page


def _count(attributes: str) -> int:
    return len(_QUOTED.sub(" ", attributes).replace("=", " ").split())
