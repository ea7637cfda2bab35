"""One measurement from beginning to end, against a scripted engine and a real one."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from autosre_lab.bench.measure import run_benchmark
from autosre_lab.bench.plan import Plan
from autosre_lab.bench.result import Result, load_result
from autosre_lab.bench.running import run_async
from autosre_lab.bench.target import Protocol, Target, badge_of, target_of
from autosre_lab.bench.workload import Session, SessionTurn
from autosre_lab.cli.main import main
from autosre_lab.errors import BenchmarkError
from autosre_lab.recipe import load_recipe
from autosre_lab.scripted.chat_engine import ScriptedVllm
from autosre_lab.scripted.chat_engine import Turn as Answer
from autosre_lab.stack import Stack
from tests.bench.sessions import WEATHER, target_at, workload
from tests.cluster.recipes import cpu_recipe


@contextmanager
def scripted(*answers: Answer) -> Iterator[ScriptedVllm]:
    """The scripted engine in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    upstream = ScriptedVllm(answers)
    try:
        asyncio.run_coroutine_threadsafe(upstream.__aenter__(), loop).result(10)
        yield upstream
    finally:
        asyncio.run_coroutine_threadsafe(upstream.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def measured(upstream: ScriptedVllm, **options: object) -> Result:
    target = target_at(upstream.url)
    return run_benchmark(workload(), target, Plan(check_tokens=0, **options))  # type: ignore[arg-type]


def systems(upstream: ScriptedVllm) -> list[str]:
    return [one.body["messages"][0]["content"] for one in upstream.chats]


def test_no_prompt_of_one_run_can_be_in_the_cache_of_the_next() -> None:
    with scripted(*[Answer(text="ok")] * 4) as upstream:
        first = measured(upstream)
        second = measured(upstream)
        _, one, _, other = systems(upstream)
    assert one != other
    assert one.endswith("Be brief.")
    assert re.match(r"Session [0-9a-f]{12}\.\n", one)
    assert first.conditions.salt != second.conditions.salt
    assert first.conditions.workload_sha256 == second.conditions.workload_sha256


def test_a_warm_cache_has_seen_the_first_prompts_and_nothing_else() -> None:
    with scripted(*[Answer(text="ok")] * 3) as upstream:
        result = measured(upstream, cache="warm")
        _, primed, asked = upstream.chats
    assert primed.body["messages"] == asked.body["messages"]
    assert primed.body["max_completion_tokens"] == 1
    assert result.summary.requests == 1
    assert result.conditions.cache == "warm"


def test_an_address_alone_does_not_tell_what_hardware_answers(tmp_path: Path) -> None:
    with scripted(*[Answer(text="ok")] * 4) as upstream:
        address = ["--url", upstream.url, "--model", upstream.model, "--api", "chat"]
        out = ["--no-machine-check", "--out", str(tmp_path / "r.json")]
        shown = CliRunner().invoke(main, ["bench", "run", "smoke", *address, *out])
    assert shown.exit_code == 0, shown.output
    assert "measured on: an engine whose hardware was not told" in shown.output
    assert load_result(tmp_path / "r.json").badge == "unknown"


def test_a_recipe_tells_what_hardware_answers() -> None:
    assert badge_of(load_recipe("smollm2-135m-cpu")) == "cpu-engine"
    assert badge_of(load_recipe("qwen3.6-35b-a3b-nvfp4")) == "gpu"
    assert badge_of(load_recipe("qwen3-coder-30b-a3b-fp8")) == "gpu"
    assert badge_of(cpu_recipe()) == "cpu-engine", "a Pod without a device"
    assert badge_of(None) == "unknown"


def test_an_engines_first_request_is_not_measured() -> None:
    slow = Answer(text="ok", first_chunk_delay_s=0.5)
    with scripted(slow, Answer(text="ok")) as upstream:
        result = measured(upstream)
    assert result.summary.latency["ttft"].max < 0.4


def test_nobody_there_is_an_error_that_says_where() -> None:
    with pytest.raises(BenchmarkError, match=r"127\.0\.0\.1:9"):
        run_benchmark(workload(), target_at("http://127.0.0.1:9"))


def test_it_runs_where_an_event_loop_is_running() -> None:
    async def notebook() -> int:
        async def answer() -> int:
            return 42

        return run_async(answer())

    assert asyncio.run(notebook()) == 42


def test_what_went_wrong_in_the_other_thread_is_raised_here() -> None:
    async def notebook() -> None:
        async def fails() -> None:
            raise KeyError("lost")

        run_async(fails())

    with pytest.raises(KeyError, match="lost"):
        asyncio.run(notebook())


def test_a_target_never_shows_its_token() -> None:
    target = Target(url="http://x", protocol="chat", model="m", token="s3cret")
    assert "s3cret" not in repr(target)


@pytest.mark.engine
@pytest.mark.parametrize("protocol", ["messages", "chat", "responses"])
def test_a_real_engine_and_this_client_agree(real_stack: Stack, protocol: Protocol) -> None:
    recipe = load_recipe("smollm2-135m-cpu")
    turns = (
        SessionTurn(text="Tell me about Rome.", max_tokens=24, exact=True),
        SessionTurn(text="And the weather there?", max_tokens=60, tool_choice="weather"),
    )
    system = "You are a helpful assistant. " * 30
    sessions = [Session(id=str(n), system=system, turns=turns, tools=(WEATHER,)) for n in range(2)]
    target = target_of(real_stack, protocol=protocol, badge=badge_of(recipe))
    result = run_benchmark(workload(*sessions), target, Plan(limits={"e2el": 600}), recipe=recipe)
    summary, server = result.summary, result.server
    assert result.badge == "cpu-engine"
    assert (summary.requests, summary.failed, summary.good_fraction) == (4, 0, 1.0)
    first = [one for one in result.timings if one.turn == 0]
    assert [one.output_tokens for one in first] == [24, 24]
    assert all(one.ttfa_s for one in result.timings if one.turn == 1)
    # The second session finds the first one's system prompt, each second turn its first.
    assert summary.hit_rate is not None
    assert summary.hit_rate > 0.3
    assert server is not None
    assert server.prefix_hit == pytest.approx(summary.hit_rate, abs=0.02)
    assert server.gen_tps is not None
    assert server.gen_tps * server.duration_s == pytest.approx(summary.output_tokens, abs=1)
    assert result.roofline is not None
    assert not result.roofline.above
    assert result.conditions.engine["version"] == "0.32.0"
    assert str(result.conditions.engine["torch"]).startswith("2.")
    assert result.check_before is not None
    assert result.check_before.tokens == 30
