"""Which Claude Code runs: ours, or one that is named, and what is known of its version."""

from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.agents.claude.profiles import PROFILES
from autosre_lab.agents.claude.version import claude_code_here, known_version, named_claude_code
from autosre_lab.errors import ConfigError
from autosre_lab.provision import CLAUDE_CODE_VERSIONS, claude_code_executable
from tests.support.programs import program


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("2.1.332", "2.1.332"),
        ("2.1.400", "2.1.332"),
        ("3.0.0", "2.1.332"),
        ("2.1.331", "2.1.197"),
        ("2.1.197", "2.1.197"),
        ("1.0.9", "2.1.197"),
    ],
)
def test_a_version_is_taken_to_be_like_the_newest_tested_one_before_it(
    version: str, known: str
) -> None:
    assert known_version(version) == known


def test_every_profile_has_a_size_for_every_supported_version() -> None:
    for profile in PROFILES.values():
        assert list(profile.sizes) == list(CLAUDE_CODE_VERSIONS)


def test_a_named_one_is_run_and_said_to_be_tested_or_not(tmp_path: Path) -> None:
    tested = program(tmp_path / "old", 'echo "2.1.197 (Claude Code)"')
    other = program(tmp_path / "new", 'echo "2.1.400 (Claude Code)"')

    one, two = (named_claude_code(file) for file in (tested, other))

    assert (one.version, one.is_tested, one.executable) == ("2.1.197", True, tested)
    assert two.note is not None
    assert "not a tested version" in two.note
    assert f"--claude {other} --check" in two.note


def test_the_setting_names_one_and_the_option_is_stronger(tmp_path: Path) -> None:
    setting = program(tmp_path / "a", 'echo "2.1.1 (Claude Code)"')
    option = program(tmp_path / "b", 'echo "2.1.2 (Claude Code)"')
    environ = {"AUTOSRE_CLAUDE": str(setting), "AUTOSRE_CONFIG_DIR": str(tmp_path)}

    assert claude_code_here(None, environ).version == "2.1.1"
    assert claude_code_here(option, environ).version == "2.1.2"
    ours = claude_code_here(None, {"AUTOSRE_CONFIG_DIR": str(tmp_path)}, install=False)
    assert (ours.executable, ours.note) == (claude_code_executable(), None)


@pytest.mark.parametrize("body", ["echo 'python 3'", "exit 1", "echo '2.1 (Claude Code)'"])
def test_what_is_no_claude_code_is_refused(tmp_path: Path, body: str) -> None:
    with pytest.raises(ConfigError, match="does not say that it is Claude Code"):
        named_claude_code(program(tmp_path / "other", body))


def test_a_program_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no program /nonexistent/claude"):
        named_claude_code(Path("/nonexistent/claude"))
