"""Every supported Claude Code does what we rely on: the table that README shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.agents.claude.contract import CONTRACT, Behaviour, check, try_behaviour
from autosre_lab.agents.claude.version import named_claude_code
from autosre_lab.provision import CLAUDE_CODE_VERSIONS
from tests.agents.claude.conftest import EACH_VERSION
from tests.support.programs import program


@pytest.mark.claude
@EACH_VERSION
@pytest.mark.timeout(600)
@pytest.mark.parametrize("behaviour", CONTRACT, ids=lambda one: one.name)
def test_a_supported_version_keeps_the_contract(behaviour: Behaviour, claude_code: Path) -> None:
    try_behaviour(behaviour, claude_code)


def test_a_claude_that_does_nothing_breaks_each_of_them(tmp_path: Path) -> None:
    silent = program(tmp_path / "claude", 'echo "9.9.9 (Claude Code)"')

    verdicts = list(check(named_claude_code(silent)))

    assert [one.name for one in verdicts] == [behaviour.name for behaviour in CONTRACT]
    assert all(one.holds is False and one.detail for one in verdicts), verdicts


def test_the_readme_shows_the_contract() -> None:
    text = (Path(__file__).parents[3] / "autosre_lab" / "agents" / "README.md").read_text("utf-8")

    head = next(line for line in text.splitlines() if line.startswith("| behaviour |"))
    assert all(version in head for version in CLAUDE_CODE_VERSIONS)
    missing = [one.name for one in CONTRACT if f"| {one.name} |" not in text]
    assert missing == []
