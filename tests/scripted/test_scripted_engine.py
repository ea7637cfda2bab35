"""The engine without a model, as a stack: what the lab needs of one, at a machine's pace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.bench.apart import run_benchmark_apart
from autosre_lab.bench.comparison import compare_results
from autosre_lab.bench.measure import run_benchmark
from autosre_lab.bench.plan import Plan
from autosre_lab.bench.synthetic import make_workload
from autosre_lab.bench.target import Target, badge_of, target_of
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.errors import BenchmarkError, ConfigError
from autosre_lab.evaluation import gate
from autosre_lab.lifecycle import start, status, stop
from autosre_lab.metrics.vllm_text import read_engine_metrics
from autosre_lab.progress import Stopped
from autosre_lab.recipe import load_recipe, parse_recipe, recipe_names
from autosre_lab.recipe.dump import recipe_yaml
from autosre_lab.scripted.answers import answer_to
from autosre_lab.scripted.prefix_cache import PrefixCache
from autosre_lab.stack import Stack

RECIPE = Path(__file__).parents[2] / "binder" / "scripted.yaml"


@pytest.fixture
def stack() -> Iterator[Stack]:
    yield start(RECIPE)
    stop()


@pytest.fixture
def target(stack: Stack) -> Target:
    return target_of(stack, badge=badge_of(load_recipe(RECIPE)))


def test_a_recipe_without_a_model_runs_as_a_stack_and_passes_the_gate(
    target: Target, recwarn: pytest.WarningsRecorder
) -> None:
    assert status().state == "ready"
    assert target.badge == "scripted"
    verdict = gate(target)
    assert verdict.passed is True, verdict.reasons
    assert [str(one.message) for one in recwarn] == []


def test_what_is_measured_on_it_says_that_it_is_a_script(target: Target) -> None:
    work = make_workload("decode", requests=4, input_tokens=64, output_tokens=12)
    result = run_benchmark(work, target, Plan(arrivals="closed:2", check_tokens=0))
    assert result.badge == "scripted"
    assert result.summary.failed == 0
    assert result.summary.output_tokens == 4 * 12
    assert result.server is not None
    assert result.server.gen_tps is not None
    # What engine and client counted agrees: the comparison would warn otherwise.
    assert result.warnings == ()


def test_a_growing_conversation_is_hit_in_whole_blocks(target: Target) -> None:
    work = make_workload("cc-session", sessions=1, turns=4, scale=0.02, waits=0.0, context=32_000)
    timings = run_benchmark(work, target, Plan(check_tokens=0)).timings
    hits = [one.cached_tokens or 0 for one in timings]
    assert all(one % 16 == 0 for one in hits)
    assert hits[1:] == sorted(hits[1:])
    assert hits[-1] > 0.5 * (timings[-1].input_tokens or 0)
    assert target.engine_url is not None
    sample = read_engine_metrics(target.engine_url)
    assert sample.prompt_tokens_hit
    assert sample.running == 0


@given(st.lists(st.integers(0, 3), max_size=80), st.lists(st.integers(0, 3), max_size=80))
def test_the_cache_has_no_more_than_both_prompts_share(first: list[int], second: list[int]) -> None:
    cache = PrefixCache(blocks=100, block_tokens=4)
    cache.keep(first)
    shared = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        shared += 1
    assert cache.hit(second) == min(shared, max(0, len(second) - 1)) // 4 * 4


def test_a_full_cache_forgets_the_oldest_first() -> None:
    cache = PrefixCache(blocks=2, block_tokens=2)
    cache.keep([1, 2, 3, 4])
    cache.keep([5, 6])
    assert cache.hit([1, 2, 3, 4, 9]) == 0
    assert cache.hit([5, 6, 7]) == 2


def test_a_form_that_is_asked_for_is_filled_in() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    body = {
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
        "response_format": {"json_schema": {"schema": schema}},
    }
    assert answer_to(body, 1).text == '{"city": "Rome"}'


def test_a_run_that_is_stopped_waits_for_no_answer(target: Target) -> None:
    # One answer of 2,000 tokens takes half a minute at this pace.
    work = make_workload("decode", requests=1, input_tokens=64, output_tokens=2000)
    began = time.monotonic()

    def stopping() -> bool:
        assert target.engine_url is not None
        return (read_engine_metrics(target.engine_url).generation_tokens or 0) > 20

    with pytest.raises(Stopped):
        run_benchmark(work, target, Plan(check_tokens=0), stopping=stopping)
    assert time.monotonic() - began < 15
    # The engine was told too.
    deadline = time.monotonic() + 10
    while read_engine_metrics(str(target.engine_url)).running:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_measurement_apart_is_the_same_measurement(target: Target) -> None:
    work = make_workload("decode", requests=3, input_tokens=64, output_tokens=8)
    recipe = load_recipe(RECIPE)
    seen: list[RequestTiming] = []
    plan = Plan(arrivals="closed:2", check_tokens=20)
    result = run_benchmark_apart(work, target, plan, recipe=recipe, seen=seen.append)
    beside = run_benchmark(work, target, plan, recipe=recipe)
    assert [one.session for one in seen] == [one.session for one in result.timings]
    # Nothing differs in how they were made.
    assert compare_results(result, beside).differences == ()


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_goes_to_the_other_process_as_it_is(name: str) -> None:
    recipe = load_recipe(name)
    assert parse_recipe(yaml.safe_load(recipe_yaml(recipe))) == recipe


def test_a_measurement_apart_can_be_stopped_and_says_what_is_wrong(target: Target) -> None:
    work = make_workload("decode", requests=1, input_tokens=64, output_tokens=2000)
    began = time.monotonic()
    with pytest.raises(Stopped):
        run_benchmark_apart(
            work, target, Plan(check_tokens=0), stopping=lambda: time.monotonic() - began > 2
        )
    assert time.monotonic() - began < 15
    nobody = msgspec.structs.replace(target, url="http://127.0.0.1:9", engine_url=None)
    with pytest.raises(BenchmarkError, match="does not answer"):
        run_benchmark_apart(work, nobody, Plan(check_tokens=0))
    with pytest.raises(ConfigError):
        run_benchmark_apart(work, target, Plan(arrivals="now and then", check_tokens=0))
