"""Every supported version of an agent does what we rely on: the table that README shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autosre_lab.agents.claude import contract as claude
from autosre_lab.agents.codex import contract as codex
from autosre_lab.agents.contract import Behaviour
from autosre_lab.agents.named import AGENTS, agent_named
from autosre_lab.provision import (
    CLAUDE_CODE_VERSIONS,
    CODEX_VERSIONS,
    provision_claude_code,
    provision_codex,
)
from tests.support.programs import program

CONTRACTS: dict[str, tuple[Behaviour[Any], ...]] = {
    "claude": claude.CONTRACT,
    "codex": codex.CONTRACT,
}
VERSIONS = {"claude": CLAUDE_CODE_VERSIONS, "codex": CODEX_VERSIONS}
README = Path(__file__).parents[2] / "autosre_lab" / "agents" / "README.md"


def named(behaviour: Behaviour[Any]) -> str:
    return behaviour.name


@pytest.mark.claude
@pytest.mark.parametrize("version", CLAUDE_CODE_VERSIONS)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("behaviour", claude.CONTRACT, ids=named)
def test_a_supported_claude_code_keeps_the_contract(
    behaviour: Behaviour[Any], version: str
) -> None:
    claude.attempt(behaviour, provision_claude_code(version))


@pytest.mark.codex
@pytest.mark.parametrize("version", CODEX_VERSIONS)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("behaviour", codex.CONTRACT, ids=named)
def test_a_supported_codex_keeps_the_contract(behaviour: Behaviour[Any], version: str) -> None:
    codex.attempt(behaviour, provision_codex(version))


@pytest.mark.parametrize(
    ("name", "says"), [("claude", "9.9.9 (Claude Code)"), ("codex", "codex-cli 9.9.9")]
)
def test_a_program_that_does_nothing_breaks_each_of_them(
    name: str, says: str, tmp_path: Path
) -> None:
    agent = agent_named(name)
    silent = program(tmp_path / name, f'echo "{says}"')

    verdicts = list(agent.check(agent.program.named(silent)))

    assert [one.name for one in verdicts] == [one.name for one in CONTRACTS[name]]
    assert all(one.holds is False and one.detail for one in verdicts), verdicts


def test_the_readme_shows_the_contract_of_every_version_and_a_reason_for_every_blank() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in README.read_text("utf-8").splitlines()
        if line.startswith("|")
    ]
    head = next(row for row in rows if row[0] == "behaviour")
    assert head[1:] == [*CLAUDE_CODE_VERSIONS, *CODEX_VERSIONS]
    table = {row[0]: row[1:] for row in rows if len(row) == len(head)}
    for name in AGENTS:
        tried = {one.name for one in CONTRACTS[name]}
        assert tried <= table.keys()
        for behaviour, cells in table.items():
            for version, cell in zip(head[1:], cells, strict=True):
                if version not in VERSIONS[name] or behaviour in ("behaviour", "---"):
                    continue
                assert (cell == "holds") is (behaviour in tried), (behaviour, version)
                assert cell, (behaviour, version)
