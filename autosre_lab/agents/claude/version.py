"""Claude Code's program, and which tested version another one is taken to be like."""

from __future__ import annotations

from autosre_lab.agents.program import ProgramKind
from autosre_lab.provision import (
    CLAUDE_CODE_VERSIONS,
    claude_code_executable,
    provision_claude_code,
)

__all__ = ["CLAUDE_CODE", "known_version"]

CLAUDE_CODE = ProgramKind(
    title="Claude Code",
    name="claude",
    versions=CLAUDE_CODE_VERSIONS,
    says=r"(\d+\.\d+\.\d+)\b.*Claude Code",
    example="… (Claude Code)",
    path=lambda: claude_code_executable(),
    install=lambda: provision_claude_code(),
)


def known_version(version: str) -> str:
    """Return the tested version whose sizes and habits a version is taken to have."""
    wanted = _numbers(version)
    older = [one for one in CLAUDE_CODE_VERSIONS if _numbers(one) <= wanted]
    return older[0] if older else CLAUDE_CODE_VERSIONS[-1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
