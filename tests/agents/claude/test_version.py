"""Which tested version a Claude Code is taken to be like."""

from __future__ import annotations

import pytest

from autosre_lab.agents.claude.profiles import PROFILES
from autosre_lab.agents.claude.version import known_version
from autosre_lab.provision import CLAUDE_CODE_VERSIONS


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
