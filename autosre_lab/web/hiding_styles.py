"""Which styles keep a text from its reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["PROPERTIES", "WHITE", "TextStyle", "hides"]

Rgb: TypeAlias = tuple[int, int, int]

WHITE: Rgb = (255, 255, 255)

_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")
_LENGTH = re.compile(r"(-?(?:\d+\.?\d*|\.\d+))(px|em|rem|%|pt|vw|vh|ch|ex|cm|in)?")
_PX = {"": 1, "px": 1, "em": 16, "rem": 16, "pt": 1.33, "vw": 12.8, "vh": 8, "%": 12.8}
_AWAY_PX = 100
"""From here on a text that is moved out at the left or the top is out of sight."""
_COLOURS: Mapping[str, Rgb] = {
    "white": WHITE,
    "snow": (255, 250, 250),
    "ivory": (255, 255, 240),
    "whitesmoke": (245, 245, 245),
    "silver": (192, 192, 192),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "black": (0, 0, 0),
    "red": (255, 0, 0),
    "lime": (0, 255, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "navy": (0, 0, 128),
    "yellow": (255, 255, 0),
}
_FONT_SIZE = re.compile(r"(?:^|\s)((?:\d+\.?\d*|\.\d+)(?:px|em|rem|%|pt|vw|vh)?)(?:/\S+)?\s+\S")
_LEGIBLE_PX = 2
_FAINT = 0.06
_NEAR = 24
"""Sum of the differences of red, green and blue up to which nobody reads a text."""

PROPERTIES = frozenset(
    (
        *("display", "visibility", "content-visibility", "opacity", "filter", "position"),
        *("left", "right", "top", "bottom", "inset", "text-indent", "margin-left", "margin-top"),
        *("margin", "transform", "translate", "scale", "clip", "clip-path", "overflow"),
        *("overflow-x", "overflow-y", "width", "height", "max-width", "max-height"),
        *("font", "font-size", "line-height", "color", "-webkit-text-fill-color"),
        *("background", "background-color", "background-image", "background-clip"),
        *("-webkit-background-clip",),
    )
)


def hides(style: Mapping[str, str]) -> bool:
    """Whether an element with this style, and all that stands in it, is not seen.

    Args:
        style: What holds for it; values in small letters.
    """
    get = style.get
    faded = re.findall(r"opacity\(([^)]*)\)", get("filter", ""))
    return (
        get("display") == "none"
        or get("visibility") in ("hidden", "collapse")
        or get("content-visibility") == "hidden"
        or any(_first(share) < _FAINT for share in (get("opacity"), *faded))
        or _is_away(style)
        or _is_cut_off(style)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStyle:
    """What an element hands down to the texts in it, which may undo it again.

    Attributes:
        colour: Of the text; None where it is not known.
        behind: The colour behind it; None where it is not known.
        size_px: Of its letters.
    """

    colour: Rgb | str | None = None
    behind: Rgb | None = None
    size_px: float = 16.0

    def inside(self, style: Mapping[str, str]) -> TextStyle:
        """Return what holds in an element with a style of its own."""
        said = style.get("-webkit-text-fill-color") or style.get("color")
        colour = self.colour if said in (None, "inherit", "currentcolor") else _colour_of(said)
        if colour == "transparent" and "text" in (
            style.get("background-clip"),
            style.get("-webkit-background-clip"),
        ):
            colour = None  # its letters show the background
        behind, is_said = _background_of(style)
        return TextStyle(
            colour=colour,
            behind=behind if is_said else self.behind,
            size_px=self._size(style),
        )

    @property
    def is_unseen(self) -> bool:
        """Whether nobody reads such a text."""
        if self.size_px < _LEGIBLE_PX or self.colour == "transparent":
            return True
        if not isinstance(self.colour, tuple) or self.behind is None:
            return False
        return sum(abs(a - b) for a, b in zip(self.colour, self.behind, strict=True)) <= _NEAR

    def _size(self, style: Mapping[str, str]) -> float:
        size = style.get("font-size")
        if size is None and (short := _FONT_SIZE.search(style.get("font", ""))):
            size = short[1]
        match = _LENGTH.fullmatch(size or "")
        if match is None:
            # A word, such as medium, or a calculation: of some legible size.
            return 16.0 if size and size != "inherit" else self.size_px
        number, unit = float(match[1]), match[2] or "px"
        if unit in ("em", "%"):
            return self.size_px * number / (100 if unit == "%" else 1)
        return number * _PX.get(unit, 16)


def _colour_of(value: str | None) -> Rgb | str | None:
    """Return a colour; ``transparent``; None where it is not understood."""
    text = (value or "").strip()
    if text in _COLOURS:
        return _COLOURS[text]
    if text == "transparent":
        return text
    if match := re.fullmatch(r"#([0-9a-f]{3,8})", text):
        digits = match[1]
        if len(digits) in (3, 4):
            digits = "".join(one * 2 for one in digits)
        if len(digits) == 8 and int(digits[6:], 16) < 16:
            return "transparent"
        if len(digits) in (6, 8):
            return (int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16))
        return None
    if match := re.fullmatch(r"(rgb|hsl)a?\(([^()]*)\)", text):
        numbers = [float(one) for one in _NUMBER.findall(match[2])]
        if len(numbers) == 4 and numbers[3] < _FAINT:
            return "transparent"
        if match[1] == "rgb" and len(numbers) >= 3 and "%" not in match[2]:
            return (int(numbers[0]), int(numbers[1]), int(numbers[2]))
        if match[1] == "hsl" and len(numbers) >= 3:
            grey = round(numbers[2] * 2.55)
            return (grey, grey, grey) if numbers[1] == 0 or numbers[2] in (0, 100) else None
    return None


def _background_of(style: Mapping[str, str]) -> tuple[Rgb | None, bool]:
    """Return the colour of an element's background, and whether it says anything of it.

    A picture or a gradient is a background of no known colour.
    """
    said = style.get("background-color") or style.get("background")
    if "url(" in style.get("background", "") or "gradient(" in style.get("background", ""):
        return None, True
    if style.get("background-image", "none") != "none":
        return None, True
    if said is None or said in ("none", "inherit", "initial", "unset", "transparent"):
        return None, False
    for word in (said, *said.split(" ")):
        found = _colour_of(word)
        if isinstance(found, tuple):
            return found, True
    return None, found != "transparent"


def _is_away(style: Mapping[str, str]) -> bool:
    moved = [style.get(name, "") for name in ("text-indent", "margin-left", "margin-top")]
    moved.append(style.get("margin", ""))
    placed = style.get("position") in ("absolute", "fixed", "relative", "sticky")
    if placed or "position" not in style:
        moved += [style.get(name, "") for name in ("left", "right", "top", "bottom", "inset")]
    for name in ("transform", "translate"):
        text = style.get(name, "")
        moved.append(
            " ".join(re.findall(r"translate[xy3d]*\(([^)]*)\)", text))
            or text * (name != "transform")
        )
    for text in moved:
        for number, unit in _LENGTH.findall(text):
            if float(number) * _PX.get(unit, 16) <= -_AWAY_PX and not (
                unit == "%" and float(number) > -400
            ):
                return True
            # Beyond the screen's right or lower edge, where nothing scrolls to.
            if style.get("position") == "fixed" and unit in ("vw", "vh") and float(number) >= 100:
                return True
    shrunk = re.findall(r"scale[xyz3d]*\(([^)]*)\)", style.get("transform", ""))
    shrunk.append(style.get("scale", "1"))
    return any(_first(text) == 0 for text in shrunk)


def _is_cut_off(style: Mapping[str, str]) -> bool:
    clip, path = style.get("clip", ""), style.get("clip-path", "")
    if clip.startswith("rect("):
        edges = [float(one) for one in _NUMBER.findall(clip)]
        if len(edges) == 4 and (edges[2] - edges[0] <= 1 or edges[1] - edges[3] <= 1):
            return True
    if match := re.match(r"(?:circle|ellipse)\(([^)]*)\)", path):
        return _first(match[1]) == 0
    if match := re.match(r"inset\(([^)]*)\)", path):
        return any(float(number) >= 50 for number, unit in _LENGTH.findall(match[1]) if unit == "%")
    if match := re.match(r"polygon\(([^)]*)\)", path):
        return len({point.strip() for point in match[1].split(",")}) < 3
    if not any(
        style.get(name, "").startswith(("hidden", "clip"))
        for name in ("overflow", "overflow-x", "overflow-y")
    ):
        return False
    sides = [style.get(name) for name in ("width", "height", "max-width", "max-height")]
    lengths = [_LENGTH.fullmatch(side) for side in sides if side]
    return any(one and float(one[1]) * _PX.get(one[2] or "", 16) <= 1 for one in lengths)


def _first(text: str | None) -> float:
    """Return a value's first number, a percentage as a share; 1 where there is none."""
    match = _NUMBER.match((text or "").strip())
    if match is None:
        return 1.0
    return float(match[0]) / (100 if (text or "").strip()[match.end() :].startswith("%") else 1)
