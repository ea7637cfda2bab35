"""What a page's own style sheets say of an element: selectors, their weight, media of a screen.

For properties that can hide text, not for layout. What is not understood is left out: then too much
is shown and never too little. Sheets come from strangers: each step is linear or counted.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from lxml.html import HtmlElement  # type: ignore[import-untyped]

__all__ = ["StyleSheets", "declarations_of"]

MOST_CHARS = 2_000_000
MOST_SELECTORS = 20_000
MOST_STEPS = 1_000_000
"""Comparisons of an element with a selector's part; then the sheets are heeded no more."""
SCREEN_PX = 1280

_LONGEST_DECLARATIONS = 2_000
_LONGEST_CLASS = 1_000
_DEEPEST = 4
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)
_BRACES = re.compile(r"[{};]")
_PART = re.compile(
    r"""(?P<tag>\*|[a-z_][\w-]*)|\.(?P<klass>[\w-]+)|\#(?P<id>[\w-]+)
    |\[\s*(?P<attr>[\w-]+)\s*(?:(?P<op>[~|^$*]?=)\s*(?:"(?P<dq>[^"]*)"|'(?P<sq>[^']*)'|(?P<bare>[\w-]+))
       \s*[is]?\s*)?\]
    |:(?P<not>not)\((?P<inner>[^()]*)\)|:(?P<pseudo>root|first-child|last-child|link|any-link)(?![\w(-])
    |(?P<combinator>\s*[>+~]\s*|\s+)""",
    re.VERBOSE | re.IGNORECASE,
)
_MEDIA = re.compile(r"\(\s*(min|max)-width\s*:\s*([\d.]+)(px|em|rem)\s*\)")

Declarations: TypeAlias = dict[str, tuple[bool, str]]
"""Property: whether it is important, and its value in small letters."""


@dataclass(frozen=True, slots=True)
class _Compound:
    """What one element has to be, as in ``p.note[lang]``."""

    tag: str = ""
    identifier: str = ""
    classes: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str, str], ...] = ()
    pseudos: tuple[str, ...] = ()
    nots: tuple[_Compound, ...] = ()

    def fits(self, element: HtmlElement) -> bool:
        get = element.get
        return (
            (self.tag in ("", "*") or element.tag == self.tag)
            and (not self.identifier or get("id") == self.identifier)
            and (
                not self.classes
                or set(self.classes) <= set((get("class") or "")[:_LONGEST_CLASS].split())
            )
            and all(_has(get(name), op, value) for name, op, value in self.attributes)
            and all(_PSEUDOS[name](element) for name in self.pseudos)
            and not any(one.fits(element) for one in self.nots)
        )

    @property
    def weight(self) -> tuple[int, int, int]:
        own = (
            int(bool(self.identifier)),
            len(self.classes) + len(self.attributes) + len(self.pseudos),
            int(self.tag not in ("", "*")),
        )
        weights = [own, *(one.weight for one in self.nots)]
        return (sum(w[0] for w in weights), sum(w[1] for w in weights), sum(w[2] for w in weights))


@dataclass(frozen=True, slots=True)
class _Rule:
    parts: tuple[tuple[str, _Compound], ...]
    """From right to left: how a part stands to the one before it, and what it is."""
    weight: tuple[int, int, int]
    order: int
    declarations: Declarations


@dataclass(slots=True)
class StyleSheets:
    """The rules of a page's ``style`` elements that say something of certain properties.

    Args:
        properties: Which properties are of interest.
    """

    properties: frozenset[str]
    _rules: dict[str, list[_Rule]] = field(default_factory=dict)
    _count: int = 0
    _steps: int = 0

    def read(self, sheet: str) -> None:
        """Add a sheet's rules, those inside ``@media`` that hold on a screen included."""
        for selectors, body in _blocks(_without_comments(sheet[:MOST_CHARS])):
            found = declarations_of(body)
            wanted = {name: value for name, value in found.items() if name in self.properties}
            if not wanted:
                continue
            for text in selectors.split(","):
                if self._count >= MOST_SELECTORS:
                    return
                parts = _compiled(text.strip())
                if parts:
                    self._count += 1
                    columns = zip(*(one.weight for _, one in parts), strict=True)
                    a, b, c = (sum(column) for column in columns)
                    rule = _Rule(parts, (a, b, c), self._count, wanted)
                    self._rules.setdefault(_key(parts[0][1]), []).append(rule)

    def style_of(
        self, element: HtmlElement, inline: Mapping[str, tuple[bool, str]]
    ) -> dict[str, str]:
        """Return what holds for an element, its own ``style`` included."""
        keys = [
            "*",
            element.tag,
            *(f".{name}" for name in (element.get("class") or "")[:_LONGEST_CLASS].split()),
        ]
        if identifier := element.get("id"):
            keys.append(f"#{identifier}")
        fitting: list[_Rule] = []
        for key in keys:
            fitting += [rule for rule in self._rules.get(key, ()) if self._fits(rule, element)]
        fitting.sort(key=lambda rule: (rule.weight, rule.order))
        held: Declarations = {}
        for declarations in (*(rule.declarations for rule in fitting), inline):
            for name, (important, value) in declarations.items():
                if important or not held.get(name, (False, ""))[0]:
                    held[name] = (important, value)
        return {name: value for name, (_, value) in held.items()}

    def _fits(self, rule: _Rule, element: HtmlElement) -> bool:
        if self._steps > MOST_STEPS:
            return False
        return self._fits_from(rule.parts, 0, element)

    def _fits_from(
        self, parts: tuple[tuple[str, _Compound], ...], at: int, element: HtmlElement
    ) -> bool:
        self._steps += 1
        if self._steps > MOST_STEPS or not parts[at][1].fits(element):
            return False
        if at + 1 == len(parts):
            return True
        return any(
            self._fits_from(parts, at + 1, other) for other in _RELATED[parts[at + 1][0]](element)
        )


def declarations_of(text: str) -> Declarations:
    """Return the declarations of a block or of a ``style`` attribute."""
    found: Declarations = {}
    plain = _ESCAPE.sub(_unescaped, _without_comments(text[:_LONGEST_DECLARATIONS]))
    for one in plain.lower().split(";"):
        name, colon, value = one.partition(":")
        if colon:
            value, mark, _ = value.partition("!")
            name = name.strip()
            important = bool(mark)
            if important or not found.get(name, (False, ""))[0]:
                found[name] = (important, " ".join(value.split()))
    return found


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        code = int(match[1], 16)
        return chr(code) if 0 < code < 0x110000 else ""
    return match[2]


def _blocks(sheet: str) -> Iterator[tuple[str, str]]:
    """Yield selectors and declarations of the rules that hold on a screen. One pass."""
    holds = [True]
    begin = 0
    heads: list[str] = []
    for brace in _BRACES.finditer(sheet):
        if brace[0] == ";":
            if not heads or heads[-1].startswith("@"):
                begin = brace.end()  # @import and its like
        elif brace[0] == "{":
            head = sheet[begin : brace.start()].strip()
            heads.append(head)
            holds.append(holds[-1] and len(heads) <= _DEEPEST and _at_rule_holds(head))
            begin = brace.end()
        elif heads:
            head = heads.pop()
            if holds.pop() and not head.startswith("@"):
                yield head, sheet[begin : brace.start()]
            begin = brace.end()


def _at_rule_holds(head: str) -> bool:
    name, _, condition = head.partition(" ")
    name, condition = name.lower(), condition.lower()
    if name == "@media":
        return any(_media_holds(one) for one in condition.split(","))
    return not head.startswith("@") or name in ("@layer", "@supports", "@scope")


def _media_holds(query: str) -> bool:
    rest = query.strip()
    negated = rest.startswith("not ")
    widths = [
        (way, float(number) * (1 if unit == "px" else 16))
        for way, number, unit in _MEDIA.findall(rest)
        if number.count(".") <= 1 and number != "."
    ]
    words = set(re.findall(r"[a-z-]+", _MEDIA.sub(" ", rest))) - {"only", "and", "not"}
    if not words <= {"screen", "all", "print"}:
        return False  # of a state or a device that nobody here knows
    fits = "print" not in words and all(
        px <= SCREEN_PX if way == "min" else px >= SCREEN_PX for way, px in widths
    )
    return fits != negated


def _compiled(selector: str) -> tuple[tuple[str, _Compound], ...]:
    """Return a selector's parts, the last one first; none where it is not understood."""
    parts: list[tuple[str, _Compound]] = []
    fields: dict[str, list[object]] = {}
    relation = ""
    place = 0
    selector = _ESCAPE.sub(_unescaped, selector[:500])
    while place < len(selector):
        match = _PART.match(selector, place)
        if match is None or len(parts) > 7:
            return ()
        place = match.end()
        if match["combinator"]:
            if not fields:
                return ()
            parts.append((relation, _compound(fields)))
            relation, fields = match["combinator"].strip() or " ", {}
        elif match["not"]:
            inner = _compiled(match["inner"].strip())
            if len(inner) != 1:
                return ()
            fields.setdefault("nots", []).append(inner[0][1])
        elif match["attr"]:
            value = next((match[one] for one in ("dq", "sq", "bare") if match[one] is not None), "")
            attribute = (match["attr"].lower(), match["op"] or "", value)
            fields.setdefault("attributes", []).append(attribute)
        else:
            for name in ("tag", "klass", "id", "pseudo"):
                if match[name]:
                    fields.setdefault(name, []).append(match[name])
    if not fields:
        return ()
    parts.append((relation, _compound(fields)))
    # From the right: each part with the relation that its right neighbour has to it.
    relations = [relation for relation, _ in parts[1:]]
    compounds = [compound for _, compound in parts]
    return tuple(zip(["", *reversed(relations)], reversed(compounds), strict=True))


def _compound(fields: Mapping[str, list[object]]) -> _Compound:
    return _Compound(
        tag=str(next(iter(fields.get("tag", [])), "")).lower(),
        identifier=str(next(iter(fields.get("id", [])), "")),
        classes=tuple(map(str, fields.get("klass", []))),
        attributes=tuple(fields.get("attributes", [])),  # type: ignore[arg-type]
        pseudos=tuple(str(name).lower() for name in fields.get("pseudo", [])),
        nots=tuple(fields.get("nots", [])),  # type: ignore[arg-type]
    )


def _key(compound: _Compound) -> str:
    if compound.identifier:
        return f"#{compound.identifier}"
    if compound.classes:
        return f".{compound.classes[0]}"
    return compound.tag or "*"


def _has(found: str | None, op: str, value: str) -> bool:
    if found is None:
        return False
    match op:
        case "":
            return True
        case "=":
            return found == value
        case "~=":
            return value in found.split()
        case "|=":
            return found == value or found.startswith(f"{value}-")
        case "^=":
            return bool(value) and found.startswith(value)
        case "$=":
            return bool(value) and found.endswith(value)
    return bool(value) and value in found


def _before(element: HtmlElement) -> Iterator[HtmlElement]:
    yield from (one for one in element.itersiblings(preceding=True) if isinstance(one.tag, str))


def _neighbour(element: HtmlElement) -> Iterator[HtmlElement]:
    yield from itertools.islice(_before(element), 1)


def _parent(element: HtmlElement) -> Iterator[HtmlElement]:
    parent = element.getparent()
    if parent is not None:
        yield parent


_RELATED: Mapping[str, Callable[[HtmlElement], Iterator[HtmlElement]]] = {
    " ": lambda element: element.iterancestors(),
    ">": _parent,
    "~": _before,
    "+": _neighbour,
}
_PSEUDOS: Mapping[str, Callable[[HtmlElement], bool]] = {
    "root": lambda element: element.getparent() is None,
    "first-child": lambda element: next(_before(element), None) is None,
    "last-child": lambda element: (
        not any(isinstance(one.tag, str) for one in element.itersiblings())
    ),
    "link": lambda element: element.tag == "a" and element.get("href") is not None,
    "any-link": lambda element: element.tag == "a" and element.get("href") is not None,
}


def _without_comments(text: str) -> str:
    kept: list[str] = []
    place = 0
    while (comment := text.find("/*", place)) >= 0:
        kept.append(text[place:comment])
        ended = text.find("*/", comment + 2)
        if ended < 0:
            return "".join(kept)
        place = ended + 2
    kept.append(text[place:])
    return "".join(kept)
