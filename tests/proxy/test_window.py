"""Window arithmetic at its edges: one token too many is a lost session."""

from __future__ import annotations

import pytest

from autosre_lab.proxy.window import (
    ANSWER_FLOOR_TOKENS,
    IMAGE_TOKENS,
    Fit,
    answer_floor,
    fit,
    is_overflow,
    prompt_bound,
)


@pytest.mark.parametrize(
    ("window", "wanted", "floor"),
    [
        (262_144, 32_000, ANSWER_FLOOR_TOKENS),
        (8192, 32_000, 512),
        (8192, 100, 100),
        (8192, None, 512),
        (8207, None, 512),
        (262_144, None, ANSWER_FLOOR_TOKENS),
        (8, 32, 1),
        (8, 0, 1),
    ],
)
def test_the_floor_is_a_part_of_a_small_window(window: int, wanted: int | None, floor: int) -> None:
    assert answer_floor(window, wanted) == floor


@pytest.mark.parametrize(
    ("prompt", "wanted", "right"),
    [
        (7680, 1000, Fit(max_tokens=512, limited=True)),
        (7681, 1000, None),
        (7192, 1000, Fit(max_tokens=1000, limited=False)),
        (7193, 1000, Fit(max_tokens=999, limited=True)),
        (8092, 100, Fit(max_tokens=100, limited=False)),
        (8093, 100, None),
        (7680, None, Fit(max_tokens=None, limited=False)),
        (7681, None, None),
        (9000, 1, None),
    ],
)
def test_an_answer_fits_to_the_token(prompt: int, wanted: int | None, right: Fit | None) -> None:
    assert fit(prompt, wanted=wanted, window=8192) == right


def test_a_bound_counts_bytes_messages_and_images() -> None:
    empty = prompt_bound(0, messages=0)
    assert empty == 512
    assert prompt_bound(10, messages=0) - empty == 10
    assert prompt_bound(0, messages=3) - empty == 96
    assert prompt_bound(0, messages=0, images=2) - empty == 2 * IMAGE_TOKENS


@pytest.mark.parametrize(
    ("said", "is_one"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested", True),
        ("max_completion_tokens=32000 cannot be greater than max_model_len=8192", True),
        ("You passed 9000 input tokens and requested 10 output tokens", True),
        ("The prompt contains at least 9000 input tokens", True),
        ("prompt (length 9000) is longer than the maximum model length of 8192", True),
        ("input tokens (9000)\nexceed the window", True),
        ("conversation roles must alternate", False),
        ("max_tokens must be at least 1", False),
    ],
)
def test_vllms_words_for_too_long(said: str, is_one: bool) -> None:
    assert is_overflow(said) == is_one
