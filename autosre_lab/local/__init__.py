"""The stack as supervised processes of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.local.stack import start, started_recipe, status, stop, switch, wait_ready
else:
    # The supervisor imports parts of this package and must stay light.
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = [
    "start",
    "started_recipe",
    "status",
    "stop",
    "switch",
    "wait_ready",
]
