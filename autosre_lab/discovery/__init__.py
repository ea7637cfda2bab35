"""What this toolkit can do: shell commands, public functions, notebooks, tools and recipes.

Everything is read from files, as they are at that moment; nothing is imported to look at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.discovery.catalogue import Catalogue
    from autosre_lab.discovery.entries import Entry, Kind
else:
    # A server that nobody asks anything shall not have read anything.
    __getattr__, __dir__ = lazy_exports(__name__)

_HOME = {"Catalogue": "catalogue", "Entry": "entries", "Kind": "entries"}

__all__ = ["Catalogue", "Entry", "Kind"]
