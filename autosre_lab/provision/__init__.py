"""What a stack needs on this machine, installed: engines, weights, command-line clients."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.provision.claude_code import (
        CLAUDE_CODE_VERSION,
        CLAUDE_CODE_VERSIONS,
        claude_code_executable,
        provision_claude_code,
    )
    from autosre_lab.provision.provisioning import Provisioned, provision

_HOME = {
    "CLAUDE_CODE_VERSION": "claude_code",
    "CLAUDE_CODE_VERSIONS": "claude_code",
    "Provisioned": "provisioning",
    "claude_code_executable": "claude_code",
    "provision": "provisioning",
    "provision_claude_code": "claude_code",
}

__all__ = [
    "CLAUDE_CODE_VERSION",
    "CLAUDE_CODE_VERSIONS",
    "Provisioned",
    "claude_code_executable",
    "provision",
    "provision_claude_code",
]


def __getattr__(name: str) -> object:
    # Installing imports much that a stack that is installed never needs.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
