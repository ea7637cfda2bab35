"""Reading the public web for a local model: guarded fetching, extraction, search."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.web.address_guard import AddressGuard, CheckedUrl, Resolver
    from autosre_lab.web.addresses import judge_address
    from autosre_lab.web.allow_list import AllowList

_HOME = {
    "AddressGuard": "address_guard",
    "AllowList": "allow_list",
    "CheckedUrl": "address_guard",
    "Resolver": "address_guard",
    "judge_address": "addresses",
}

__all__ = ["AddressGuard", "AllowList", "CheckedUrl", "Resolver", "judge_address"]


def __getattr__(name: str) -> object:
    # Servers start per session: the guard must not wait for an HTML parser or an HTTP stack.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
