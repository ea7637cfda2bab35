"""Running the engine: provisioning, supervised local processes, readiness, and a thin client."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.engine.backend import VllmBackend
    from autosre_lab.engine.claude_code import (
        CLAUDE_CODE_VERSION,
        claude_code_executable,
        provision_claude_code,
    )
    from autosre_lab.engine.protocol import ServedModel
    from autosre_lab.engine.provisioning import Provisioned, provision
    from autosre_lab.engine.stack import (
        ServiceStatus,
        Stack,
        StackStatus,
        start,
        status,
        stop,
        wait_ready,
    )

_HOME = {
    "CLAUDE_CODE_VERSION": "claude_code",
    "Provisioned": "provisioning",
    "ServedModel": "protocol",
    "ServiceStatus": "stack",
    "Stack": "stack",
    "StackStatus": "stack",
    "VllmBackend": "backend",
    "claude_code_executable": "claude_code",
    "provision": "provisioning",
    "provision_claude_code": "claude_code",
    "start": "stack",
    "status": "stack",
    "stop": "stack",
    "wait_ready": "stack",
}

__all__ = [
    "CLAUDE_CODE_VERSION",
    "Provisioned",
    "ServedModel",
    "ServiceStatus",
    "Stack",
    "StackStatus",
    "VllmBackend",
    "claude_code_executable",
    "provision",
    "provision_claude_code",
    "start",
    "status",
    "stop",
    "wait_ready",
]


def __getattr__(name: str) -> object:
    # The supervisor and the proxy import parts of this package and must stay light.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
