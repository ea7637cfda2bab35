"""What a stack needs on this machine, installed: engines, weights, command-line clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.provision.claude_code import (
        CLAUDE_CODE_VERSION,
        CLAUDE_CODE_VERSIONS,
        claude_code_executable,
        provision_claude_code,
    )
    from autosre_lab.provision.codex import (
        CODEX_VERSION,
        CODEX_VERSIONS,
        codex_executable,
        provision_codex,
    )
    from autosre_lab.provision.provisioning import Provisioned, provision
else:
    # Installing imports much that a stack that is installed never needs.
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = [
    "CLAUDE_CODE_VERSION",
    "CLAUDE_CODE_VERSIONS",
    "CODEX_VERSION",
    "CODEX_VERSIONS",
    "Provisioned",
    "claude_code_executable",
    "codex_executable",
    "provision",
    "provision_claude_code",
    "provision_codex",
]
