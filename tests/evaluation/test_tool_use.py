"""L2: tool-eval-bench asks through the Messages API, and its verdicts are kept as ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autosre_lab.bench.target import badge_of, target_of
from autosre_lab.errors import EvaluationError, MissingExtraError
from autosre_lab.evaluation import evaluate
from autosre_lab.evaluation.tool_use import check_tool_use, scenario_names
from autosre_lab.recipe import load_recipe
from autosre_lab.stack import Stack
from tests.evaluation.scripted_messages import ApiReply, messages_server

YEAR = "TC-10 Trivial Knowledge"


def knowing_when_the_war_ended(request: dict[str, Any], _: bool) -> ApiReply:
    return {"text": "1945" if "World War" in str(request["messages"]) else "I do not know."}


def test_a_right_answer_passes_and_others_do_not() -> None:
    with messages_server(knowing_when_the_war_ended) as target:
        found = evaluate(target, levels=["L2"], limit=11)
    assert [one.name for one in found.checks] == scenario_names(11)
    assert [one.name for one in found.checks if one.passed] == [YEAR]
    assert all(one.detail for one in found.checks)
    assert found.notes == ("L2: tool-eval-bench 3.0.0, each scenario once, greedy",)


def test_tools_are_offered_and_the_token_is_shown() -> None:
    requests: list[dict[str, Any]] = []

    def noting(request: dict[str, Any], _: bool) -> ApiReply:
        requests.append(request)
        return {"text": "No."}

    with messages_server(noting) as target:
        check_tool_use(target, limit=1)
    assert "get_weather" in [tool["name"] for tool in requests[0]["tools"]]
    assert "input_schema" in requests[0]["tools"][0], "as Anthropic's API names it"
    assert requests[0]["temperature"] == 0


def test_what_the_server_fails_at_says_nothing_of_the_model() -> None:
    def failing(request: dict[str, Any], _: bool) -> ApiReply:
        if "World War" in str(request["messages"]):
            return {"text": "1945"}
        return {"status": 401}

    with messages_server(failing) as target:
        found = {one.name: one.passed for one in check_tool_use(target, limit=10)}
    assert found[YEAR] is True
    assert set(found.values()) == {True, None}


def test_a_server_that_answers_nothing_is_no_result() -> None:
    with messages_server(lambda *_: {"status": 401}) as target:
        with pytest.raises(EvaluationError, match="none of 2 scenarios"):
            check_tool_use(target, limit=2)
        with pytest.raises(EvaluationError, match="through the chat API"):
            check_tool_use(msgspec.structs.replace(target, protocol="chat"), limit=2)


def test_scenarios_that_were_judged_are_not_asked_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def counting(request: dict[str, Any], again: bool) -> ApiReply:
        asked.append(str(request["messages"][0]["content"]))
        return knowing_when_the_war_ended(request, again)

    journal = tmp_path / "journal.jsonl"
    with messages_server(counting) as target:
        first = evaluate(target, levels=["L2"], limit=3, journal=journal)
        before = len(asked)
        second = evaluate(target, levels=["L2"], limit=4, journal=journal)
    assert second.checks[:3] == first.checks
    assert len(set(asked[before:])) == 1


def test_without_the_extra_it_is_named_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tool_eval_bench.evals.scenarios", None)

    def never(*_: object) -> ApiReply:
        raise AssertionError("asked")

    with (
        messages_server(never) as target,
        pytest.raises(MissingExtraError, match=r"autosre-lab\[eval\]|make .*\.venv"),
    ):
        evaluate(target, levels=["L0", "L2"])


@pytest.mark.engine
def test_a_real_small_model_uses_tools_as_well_as_it_can(real_stack: Stack) -> None:
    recipe = load_recipe("smollm2-135m-cpu")
    found = evaluate(target_of(real_stack, badge=badge_of(recipe)), levels=["L2"], limit=2)
    assert [one.name for one in found.checks] == scenario_names(2)
    assert all(one.passed is not None for one in found.checks), found.checks
