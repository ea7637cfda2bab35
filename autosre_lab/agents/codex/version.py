"""Codex's program."""

from __future__ import annotations

from autosre_lab.agents.program import ProgramKind
from autosre_lab.provision import CODEX_VERSIONS, codex_executable, provision_codex

__all__ = ["CODEX_PROGRAM"]

CODEX_PROGRAM = ProgramKind(
    title="Codex",
    name="codex",
    versions=CODEX_VERSIONS,
    says=r"codex-cli (\d+\.\d+\.\d+)\b",
    example="codex-cli …",
    path=lambda: codex_executable(),
    install=lambda: provision_codex(),
)
