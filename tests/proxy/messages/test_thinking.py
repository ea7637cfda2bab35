from __future__ import annotations

from typing import Any

import pytest

from autosre_lab.proxy.profile import EngineProfile
from tests.proxy.requests_in import (
    translate,
)


@pytest.mark.parametrize(
    ("thinking", "effort", "expected"),
    [
        (None, None, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"type": "disabled"}, "high", {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"type": "adaptive"}, None, {"chat_template_kwargs": {"enable_thinking": True}}),
        (
            {"type": "adaptive"},
            "max",
            {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_effort": "high"},
        ),
        (
            {"type": "enabled", "budget_tokens": 2048},
            "low",
            {
                "chat_template_kwargs": {"enable_thinking": True},
                "thinking_token_budget": 2048,
                "reasoning_effort": "low",
            },
        ),
    ],
)
def test_thinking_and_effort(thinking: Any, effort: str | None, expected: dict[str, Any]) -> None:
    chat = translate("hi", thinking=thinking, output_config={"effort": effort})
    names = ("chat_template_kwargs", "reasoning_effort", "thinking_token_budget")
    assert {name: chat[name] for name in names if name in chat} == expected


@pytest.mark.parametrize(
    ("efforts", "thinking", "effort", "expected"),
    [
        ({"low", "medium", "high"}, {"type": "disabled"}, "high", "low"),
        ({"none", "low"}, {"type": "disabled"}, "high", "none"),
        ({"low", "medium"}, {"type": "adaptive"}, "xhigh", "medium"),
        ({"high", "max"}, {"type": "adaptive"}, "low", "high"),
        ({"none", "high"}, {"type": "adaptive"}, "low", "high"),
        ({"low", "high"}, {"type": "adaptive"}, "brand_new", None),
        (set(), {"type": "adaptive"}, "high", None),
    ],
)
def test_effort_is_the_nearest_that_the_template_takes(
    efforts: set[str], thinking: Any, effort: str, expected: str | None
) -> None:
    engine = EngineProfile(model="m", max_model_len=9, efforts=frozenset(efforts))
    chat = translate("hi", engine, thinking=thinking, output_config={"effort": effort})
    assert chat.get("reasoning_effort") == expected
    assert "chat_template_kwargs" not in chat


def test_the_profiles_own_template_arguments_go_along() -> None:
    engine = EngineProfile(
        model="m",
        max_model_len=9,
        thinking_switch="thinking",
        template_kwargs={"preserve_thinking": True},
    )
    kwargs = translate("hi", engine, thinking={"type": "adaptive"})["chat_template_kwargs"]
    assert kwargs == {"preserve_thinking": True, "thinking": True}


@pytest.mark.parametrize("effort", ["max", "xhigh", "ultra", "", None, 3, ["high"], {"a": 1}])
def test_no_word_for_effort_is_worth_a_refusal(effort: Any) -> None:
    chat = translate("hi", output_config={"effort": effort}, thinking={"type": "adaptive"})
    expected = "high" if effort in ("max", "xhigh") else None
    assert chat.get("reasoning_effort") == expected
