"""The feed beside the real engine: what it counts is what the client was told."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from autosre_lab.cli.watch import watch
from autosre_lab.metrics import (
    Feed,
    FeedSample,
    Recorder,
    Sources,
    read_engine_metrics,
    read_recording,
    window_rates,
)
from autosre_lab.stack import Stack

pytestmark = pytest.mark.engine


def ask(stack: Stack, text: str, max_tokens: int) -> dict[str, int]:
    """Send one message through the proxy and return its usage."""
    answer = httpx.post(
        f"{stack.proxy_url}/v1/messages",
        headers={"authorization": f"Bearer {stack.token}", "anthropic-version": "2023-06-01"},
        json={
            "model": stack.model,
            "max_tokens": max_tokens,
            "messages": [{"role": "user", "content": text}],
        },
        timeout=120,
        trust_env=False,
    )
    usage: dict[str, int] = answer.raise_for_status().json()["usage"]
    return usage


def test_what_the_engine_counts_is_what_the_usage_says(real_stack: Stack) -> None:
    before = read_engine_metrics(real_stack.engine_url)
    usage = ask(real_stack, "Tell me about rivers. " * 40, 30)
    after = read_engine_metrics(real_stack.engine_url)
    assert after.generation_tokens is not None
    assert before.generation_tokens is not None
    assert after.generation_tokens - before.generation_tokens == usage["output_tokens"]
    computed = (after.prompt_tokens_computed or 0) - (before.prompt_tokens_computed or 0)
    assert computed == usage["input_tokens"] + usage["cache_creation_input_tokens"]
    assert (after.prompt_tokens_hit or 0) - (before.prompt_tokens_hit or 0) == usage[
        "cache_read_input_tokens"
    ]
    rates = window_rates(before, after)
    assert rates.dropped is None
    assert rates.gen_tps == pytest.approx(usage["output_tokens"] / rates.duration_s)
    assert rates.mean_ttft_s is not None
    assert 0 < rates.mean_ttft_s < rates.duration_s
    assert rates.steps_per_s is not None
    assert rates.steps_per_s == pytest.approx(rates.gen_tps, rel=0.1), "one request: a token a step"
    assert rates.finished is not None
    assert sum(rates.finished.values()) == 1


def test_a_feed_sees_the_request_everywhere_while_it_happens_and_records_it(
    real_stack: Stack, tmp_path: Path
) -> None:
    with (
        Recorder(tmp_path / "r.jsonl", facts={"recipe": real_stack.recipe_name}) as recorder,
        Feed(Sources.of_local_stack(patience_s=10), interval_s=0.2, recorder=recorder) as feed,
    ):
        first = feed.wait_for(lambda sample: sample.engine is not None, timeout_s=20)
        usage = ask(real_stack, "Count from one to fifty.", 40)

        def all_told(sample: FeedSample) -> bool:
            return tokens(sample) - tokens(first) == usage["output_tokens"] and bool(
                [one for seen in feed.history() for one in seen.requests]
            )

        if feed.latest is None or not all_told(feed.latest):
            feed.wait_for(all_told, timeout_s=20)
    samples = feed.history()
    assert any(sample.engine and sample.engine.running for sample in samples), "seen while it ran"
    generated = sum(
        sample.rates.gen_tps * sample.rates.duration_s
        for sample in samples
        if sample.rates is not None and sample.rates.gen_tps is not None
    )
    assert generated == pytest.approx(usage["output_tokens"])
    (request,) = [one for sample in samples for one in sample.requests]
    assert request.output_tokens == usage["output_tokens"]
    last = samples[-1]
    assert last.errors == {}
    assert last.connections is not None
    assert {service.name for service in last.connections} == {"engine", "proxy"}
    assert all(service.states["listen"] == 1 for service in last.connections)
    assert last.host is not None
    engine = {process.name: process for process in last.host.processes}["engine"]
    assert engine.processes > 1, "vLLM's engine core is a process of its own"
    assert engine.resident_bytes > 200 << 20
    assert {line.source for sample in samples for line in sample.logs} >= {"engine"}
    recording = read_recording(tmp_path / "r.jsonl")
    assert recording["requests"]["output_tokens"].tolist() == [usage["output_tokens"]]
    assert recording["engine"]["generation_tokens"].iloc[-1] == tokens(samples[-1])


def test_watch_tells_scripts_and_people(real_stack: Stack) -> None:
    once = ["--once", "--interval", "0.2"]
    told = CliRunner().invoke(watch, [*once, "--json"])
    sample = json.loads(told.output)
    assert sample["engine"]["model"] == real_stack.model
    assert sample["bottleneck"]["label"] == "IDLE"
    assert sample["rates"]["duration_s"] > 0.1
    seen = CliRunner().invoke(watch, once)
    assert "IDLE nothing runs and nothing waits" in seen.output
    assert real_stack.model in seen.output


def tokens(sample: FeedSample) -> float:
    """Return the engine's count of generated tokens."""
    assert sample.engine is not None
    assert sample.engine.generation_tokens is not None
    return sample.engine.generation_tokens
