from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.agents.claude.profiles import PROFILES, Profile
from autosre_lab.agents.claude.window import (
    SIZING,
    check_permission_mode,
    compacts_at,
    fit_window,
    output_tokens,
)
from autosre_lab.agents.window import choose_profile, smallest_window
from autosre_lab.errors import ConfigError, WindowTooSmallError

FIRST_PROMPT = {"full": 15_000, "trimmed": 3_500, "lean": 1_100}


def measure(profile: Profile) -> int:
    return FIRST_PROMPT[profile.name]


@pytest.mark.parametrize(
    ("window", "output", "expected"),
    [
        # Measured with the real CLI: it compacted at exactly these prompt sizes.
        (32_768, 8_192, 11_576),
        (32_768, 4_096, 15_672),
        (40_960, 8_192, 19_768),
        (65_536, 8_192, 44_344),
        (131_072, 16_384, 101_688),
    ],
)
def test_compaction_starts_where_claude_code_starts_it(
    window: int, output: int, expected: int
) -> None:
    assert compacts_at(window, output) == expected


@pytest.mark.parametrize(
    ("window", "profile", "compaction"),
    [
        (262_144, "full", "ahead"),
        (65_536, "full", "ahead"),
        (40_960, "trimmed", "ahead"),
        (32_768, "trimmed", "ahead"),
        (16_384, "trimmed", "refusal"),
        (8_192, "lean", "refusal"),
    ],
)
def test_the_widest_profile_that_fits_is_taken(window: int, profile: str, compaction: str) -> None:
    chosen, fit = choose_profile(SIZING, window, measure)

    assert (chosen.name, fit.compaction) == (profile, compaction)


def test_a_recipe_can_start_the_search_lower() -> None:
    assert choose_profile(SIZING, 262_144, measure, widest="lean")[0].name == "lean"


def test_a_profile_that_was_asked_for_is_refused_and_not_replaced() -> None:
    with pytest.raises(WindowTooSmallError) as refusal:
        choose_profile(SIZING, 32_768, measure, asked="full")

    # The smallest multiple of 1024 with window - window/8 - 13000 - 15000 >= 8000.
    assert "at least 41984 tokens" in refusal.value.remedy
    assert "--profile trimmed" in refusal.value.remedy
    assert "15000" in refusal.value.message


def test_a_window_for_nothing_says_which_one_would_do() -> None:
    with pytest.raises(WindowTooSmallError) as refusal:
        choose_profile(SIZING, 4_096, measure)

    assert "at least 6144 tokens" in refusal.value.remedy
    assert "--profile" not in refusal.value.remedy


@given(st.sampled_from(list(PROFILES.values())), st.integers(0, 200_000))
def test_the_window_named_as_smallest_is_just_enough(profile: Profile, first_prompt: int) -> None:
    needed = smallest_window(SIZING, profile, first_prompt)

    assert fit_window(needed, profile, first_prompt)
    assert not fit_window(needed - 1024, profile, first_prompt)


@given(
    st.integers(1, 1 << 21),
    st.sampled_from(list(PROFILES.values())),
    st.integers(0, 100_000),
    st.none() | st.integers(-5, 100_000),
)
def test_prompt_and_answer_always_fit_together(
    window: int, profile: Profile, first_prompt: int, wish: int | None
) -> None:
    fit = fit_window(window, profile, first_prompt, wish=wish)

    assert fit is None or fit.first_prompt + fit.room + fit.output <= window


def test_an_answer_takes_an_eighth_of_the_window_unless_more_is_asked_for() -> None:
    assert output_tokens(8_192) == 1_024
    assert output_tokens(262_144) == 16_384
    assert output_tokens(262_144, 32_000) == 32_000
    assert output_tokens(8_192, 32_000) == 4_096


def test_commands_are_judged_by_the_model_only_where_the_question_fits() -> None:
    check_permission_mode(("auto",), 65_536)
    check_permission_mode(("default",), 16_384)
    with pytest.raises(ConfigError, match=r"--permission-mode auto .* 16384"):
        check_permission_mode(("auto",), 16_384)
