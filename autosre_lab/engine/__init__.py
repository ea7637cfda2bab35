"""Talking to vLLM: a thin client, readiness, and why it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.engine.backend import Backend, VllmBackend
    from autosre_lab.engine.protocol import ServedModel
else:
    # The proxy imports parts of this package and must stay light.
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = [
    "Backend",
    "ServedModel",
    "VllmBackend",
]
