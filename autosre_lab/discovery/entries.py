"""One thing that the toolkit offers, whatever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Entry", "Kind"]

Kind: TypeAlias = Literal["cli", "function", "notebook", "tool", "recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that can be used.

    Attributes:
        name: What it is called with: ``autosre bench run``, ``autosre_lab.start``, …
        kind: What it is.
        summary: What it does, on one line.
        signature: How it is called, several lines where it has many arguments.
        doc: Everything its author wrote about it.
        words: Further words it is found by: names of arguments, of columns, of tags.
        shell: The equal line for a shell; empty where there is none.
        where: ``file:line``; empty where it stands in no file.
        source: Its source; empty where it has none.
        needs: The extra that it needs; empty for none.
    """

    name: str
    kind: Kind
    summary: str
    signature: str
    doc: str = ""
    words: str = ""
    shell: str = ""
    where: str = ""
    source: str = ""
    needs: str = ""
