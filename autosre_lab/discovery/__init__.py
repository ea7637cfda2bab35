"""What this toolkit can do: shell commands, public functions, notebooks, tools and recipes.

Everything is read from files, as they are at that moment; nothing is imported to look at it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.discovery.catalogue import Catalogue
    from autosre_lab.discovery.entries import Entry, Kind

_HOME = {"Catalogue": "catalogue", "Entry": "entries", "Kind": "entries"}

__all__ = ["Catalogue", "Entry", "Kind"]


def __getattr__(name: str) -> object:
    # A server that nobody asks anything shall not have read anything.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
