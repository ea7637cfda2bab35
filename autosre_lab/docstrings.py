"""Google-style docstrings taken apart: the text, the arguments, the sections after them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import dedent

__all__ = ["Docstring", "parse_docstring"]

_SECTION = re.compile(
    r"^(Args|Attributes|Returns|Yields|Raises|Example|Examples|Note|Notes|Warning|Warnings):\s*$"
)
_ENTRY = re.compile(r"^(\*{0,2}\w[\w.]*)(?: \([^)]*\))?:\s*(.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Docstring:
    """A docstring in parts.

    Attributes:
        text: Everything before the first section.
        sections: The sections by their heading, dedented.
        arguments: What each argument or attribute is, on one line each.
        raises: When each exception is raised, on one line each.
    """

    text: str
    sections: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    raises: Mapping[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first paragraph on one line."""
        return " ".join(self.text.partition("\n\n")[0].split())


def parse_docstring(text: str) -> Docstring:
    """Take a docstring apart, whose indentation was removed (`inspect.getdoc`, `ast`)."""
    before: list[str] = []
    sections: dict[str, list[str]] = {}
    current = before
    for line in text.splitlines():
        heading = _SECTION.match(line)
        if heading:
            current = sections.setdefault(heading[1], [])
        else:
            current.append(line)
    bodies = {name: dedent("\n".join(lines)).strip("\n") for name, lines in sections.items()}
    return Docstring(
        text="\n".join(before).strip(),
        sections=bodies,
        arguments=_entries(bodies.get("Args", "")) | _entries(bodies.get("Attributes", "")),
        raises=_entries(bodies.get("Raises", "")),
    )


def _entries(body: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in body.splitlines():
        entry = None if line.startswith(" ") else _ENTRY.match(line)
        if entry:
            name = entry[1]
            found[name] = entry[2].strip()
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found
