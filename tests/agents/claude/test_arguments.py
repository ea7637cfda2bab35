from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.agents.claude.agent import CLAUDE
from autosre_lab.agents.claude.arguments import (
    is_subcommand,
    needs_model,
    options_given,
)
from autosre_lab.agents.options import OwnOptions
from autosre_lab.errors import ConfigError


def test_our_options_are_taken_from_the_front() -> None:
    own, rest = CLAUDE.split(
        ["--recipe", "big", "--profile=lean", "--dry-run", "-p", "hi", "--recipe", "x"]
    )

    assert own == OwnOptions(recipe="big", profile="lean", dry_run=True)
    assert rest == ["-p", "hi", "--recipe", "x"]


def test_a_double_dash_ends_our_options() -> None:
    assert CLAUDE.split(["--use-my-config", "--", "--dry-run"]) == (
        OwnOptions(use_my_config=True),
        ["--dry-run"],
    )


@given(st.lists(st.text()))
def test_everything_after_the_first_foreign_word_is_claudes(words: list[str]) -> None:
    assert CLAUDE.split(["-p", *words]) == (OwnOptions(), ["-p", *words])


@pytest.mark.parametrize("arguments", [["--recipe"], ["--profile", "--dry-run"]])
def test_an_option_without_its_value_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="has no value"):
        CLAUDE.split(arguments)


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="full, trimmed, lean"):
        CLAUDE.split(["--profile", "huge"])


def test_options_are_found_in_every_spelling() -> None:
    given = options_given(["-pc", "--tools", "Bash", "Read", "--model=opus", "--", "--bare"])

    assert given == {
        "-p": (),
        "-c": (),
        "--tools": ("Bash", "Read"),
        "--model": ("opus",),
    }


@pytest.mark.parametrize(
    "arguments", [["--version"], ["-h"], ["mcp", "list"], ["doctor"], ["-p", "--help"]]
)
def test_nothing_is_served_for_what_needs_no_model(arguments: list[str]) -> None:
    assert not needs_model(arguments)


@pytest.mark.parametrize("arguments", [[], ["-p", "hi"], ["agents"], ["explain mcp"]])
def test_a_model_is_served_for_everything_else(arguments: list[str]) -> None:
    assert needs_model(arguments)


def test_a_prompt_is_no_subcommand() -> None:
    assert is_subcommand(["mcp", "list"])
    assert not is_subcommand(["-p", "mcp"])
    assert not is_subcommand([])
