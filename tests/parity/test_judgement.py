"""How bad each difference is: a wrong word here sends a person the wrong way."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from autosre_lab.parity.judgement import judge_flag, judge_object, judge_variable, overridden
from autosre_lab.parity.mismatch import Mismatch
from autosre_lab.recipe import Recipe, parse_recipe
from tests.parity.running import RECIPE

Kind = Literal["different", "missing", "extra"]


def recipe(**given: Any) -> Recipe:
    return parse_recipe({**RECIPE, **given})


def hybrid() -> Recipe:
    return recipe(model={**RECIPE["model"], "kind": "hybrid_gdn"})


def one(
    subject: str, kind: Kind = "different", *, expected: str | None = "a", live: str | None = "b"
) -> Mismatch:
    return Mismatch(subject=subject, kind=kind, expected=expected, live=live)


@pytest.mark.parametrize(
    ("difference", "judged"),
    [
        (one("model"), ("error", "other weights answer than the recipe names")),
        (one("--max-num-seqs"), ("warn", "so many requests run at once; the others wait")),
        (
            one("--pipeline-parallel-size"),
            ("error", "the model is spread over the devices otherwise"),
        ),
        (one("--enable-expert-parallel"), ("warn", "the recipe was verified with it")),
        (one("--seed", "extra"), ("warn", "nobody decided on it in the recipe")),
        (one("--seed"), ("warn", "the recipe was verified with it")),
        (one("--seed", "missing"), ("warn", "the recipe was verified with it")),
        (one("--speculative-config"), ("warn", "drafted tokens change speed and memory")),
    ],
)
def test_a_flag(difference: Mismatch, judged: tuple[str, str]) -> None:
    assert judge_flag(difference, recipe()) == judged


def test_speculation_on_a_hybrid_model_is_an_error_where_it_runs() -> None:
    corrupts = (
        "error",
        "with prefix caching, speculation corrupts this hybrid model's recurrent state when the "
        "cache hits: malformed tool calls and no error",
    )
    harmless = ("warn", "drafted tokens change speed and memory")
    assert judge_flag(one("--speculative-config"), hybrid()) == corrupts
    assert judge_flag(one("--speculative-config", live=None), hybrid()) == harmless
    assert judge_flag(one("--max-num-seqs"), hybrid())[0] == "warn"


@pytest.mark.parametrize(
    ("name", "judged"),
    [
        ("CUBLAS_WORKSPACE_CONFIG", ("error", "cuBLAS errors in bursts")),
        ("HF_HUB_OFFLINE", ("error", "no start waits for a hub")),
        ("HF_TOKEN", ("error", "gated")),
        ("VLLM_PORT", ("error", "the recipe says that it must not be there")),
        ("LD_PRELOAD", ("warn", "code is loaded into the engine that no recipe names")),
        ("VLLM_OTHER", ("warn", "Affects the engine, but the recipe does not set it.")),
    ],
)
def test_a_variable(name: str, judged: tuple[str, str]) -> None:
    assert judge_variable(one(name), recipe()) == judged


GONE = ("error", "a part of the stack is not there")
CHANGED = ("warn", "somebody changed it after the last start, or the chart is newer")


@pytest.mark.parametrize(
    ("difference", "judged"),
    [
        (one("Service/autosre-proxy", "missing"), GONE),
        (
            one("Service/autosre-proxy:.spec.ports", "missing"),
            ("error", "clients reach the stack by this address"),
        ),
        (
            one("Service/autosre-proxy", "extra"),
            ("error", "clients reach the stack by this address"),
        ),
        (one("Pod/vllm-1"), ("error", "it runs what was asked for earlier until it is replaced")),
        (one("Deployment/vllm:.spec.replicas"), ("error", "so many Pods are wanted")),
        (one("Deployment/vllm:.spec.paused"), CHANGED),
    ],
)
def test_an_object(difference: Mismatch, judged: tuple[str, str]) -> None:
    assert judge_object(difference) == judged


def test_the_recipe_has_the_last_word_by_either_spelling() -> None:
    strict = recipe(parity={"severity": {"seed": "error", "MINE": "ignore"}})
    assert overridden("--seed", "warn", strict) == "error"
    assert overridden("MINE", "error", strict) == "ignore"
    assert overridden("--port", "warn", strict) == "warn"
    assert overridden("--port", "error", strict) == "error"
    dashed = recipe(parity={"severity": {"--seed": "ignore"}})
    assert overridden("--seed", "warn", dashed) == "ignore"
