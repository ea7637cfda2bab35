"""The pinned Claude Code."""

from __future__ import annotations

from pathlib import Path

from autosre_lab.provision.npm_program import NpmProgram

__all__ = [
    "CLAUDE_CODE_VERSION",
    "CLAUDE_CODE_VERSIONS",
    "claude_code_executable",
    "provision_claude_code",
]

CLAUDE_CODE_VERSIONS = ("2.1.332", "2.1.197")
"""The versions whose requests and reactions the proxy and the launcher are tested against, the
newest first."""

CLAUDE_CODE_VERSION = CLAUDE_CODE_VERSIONS[0]
"""The version that is installed."""

_PROGRAM = NpmProgram(
    title="Claude Code",
    name="claude-code",
    package="@anthropic-ai/claude-code",
    command="claude",
)


def claude_code_executable(version: str = CLAUDE_CODE_VERSION) -> Path:
    """Return where a Claude Code of ours is or will be."""
    return _PROGRAM.executable(version)


def provision_claude_code(version: str = CLAUDE_CODE_VERSION) -> Path:
    """Install Claude Code, unless it is there, and return its executable.

    Raises:
        ProvisionError: Node or npm is missing or too old, or npm failed.
    """
    return _PROGRAM.install(version)
