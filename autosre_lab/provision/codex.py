"""The pinned Codex."""

from __future__ import annotations

from pathlib import Path

from autosre_lab.provision.npm_program import NpmProgram

__all__ = ["CODEX_VERSION", "CODEX_VERSIONS", "codex_executable", "provision_codex"]

CODEX_VERSIONS = ("0.171.0", "0.169.0")
"""The versions whose requests and reactions the proxy and the launcher are tested against, the
newest first."""

CODEX_VERSION = CODEX_VERSIONS[0]
"""The version that is installed."""

_PROGRAM = NpmProgram(title="Codex", name="codex", package="@openai/codex", command="codex")


def codex_executable(version: str = CODEX_VERSION) -> Path:
    """Return where a Codex of ours is or will be."""
    return _PROGRAM.executable(version)


def provision_codex(version: str = CODEX_VERSION) -> Path:
    """Install Codex, unless it is there, and return its executable.

    Raises:
        ProvisionError: Node or npm is missing or too old, or npm failed.
    """
    return _PROGRAM.install(version)
