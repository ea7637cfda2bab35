"""Programs that nobody trusts: run without network, home or rights, and within limits."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.sandbox.folders import remove, scratch_folder
    from autosre_lab.sandbox.limits import Limits
    from autosre_lab.sandbox.running import Outcome, isolation, run_sandboxed

_HOME = {
    "Limits": "limits",
    "Outcome": "running",
    "isolation": "running",
    "remove": "folders",
    "run_sandboxed": "running",
    "scratch_folder": "folders",
}

__all__ = ["Limits", "Outcome", "isolation", "remove", "run_sandboxed", "scratch_folder"]


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
