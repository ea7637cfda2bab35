"""The engine's key goes to the engine, to nobody else, and into no file."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import msgspec
import pytest

from autosre_lab.bench.conditions import conditions_of, scrape_engine
from autosre_lab.bench.measure import run_benchmark
from autosre_lab.bench.plan import Plan
from autosre_lab.bench.result import save_result
from autosre_lab.bench.target import Target, target_of
from autosre_lab.errors import RemoteError
from autosre_lab.metrics import Feed, Recorder, Sources
from autosre_lab.metrics.vllm_text import read_engine_metrics
from autosre_lab.scripted.chat_engine import HttpError, Turn
from tests.bench.sessions import workload
from tests.bench.test_measure import scripted
from tests.support.scripted_http import ScriptedHttp, scripted_http
from tests.tuning.scripted import STACK

KEY = "sk-of-the-engine"
KEYED = dataclasses.replace(STACK, engine_key=KEY)


def bearers(server: ScriptedHttp) -> set[str | None]:
    return {one.headers.get("authorization") for one in server.asked}


def test_each_api_gets_the_token_of_who_answers_it() -> None:
    assert target_of(KEYED, badge="gpu").token == STACK.token
    assert target_of(KEYED, protocol="chat", badge="gpu").token == KEY
    assert target_of(KEYED, protocol="responses", badge="gpu").token == KEY
    assert target_of(STACK, protocol="chat", badge="gpu").token is None
    for target in (target_of(KEYED, badge="gpu"), target_of(KEYED, protocol="chat", badge="gpu")):
        assert target.at_engine("chat").token == KEY
        assert (target.at_engine("chat").url, target.at_engine("chat").protocol) == (
            STACK.engine_url,
            "chat",
        )
        assert KEY not in repr(target)


def test_metrics_version_and_window_are_asked_with_the_key() -> None:
    with scripted_http(
        metrics=[(200, "vllm:num_requests_running 1\n")], version=[(200, {"version": "0.32.0"})]
    ) as server:
        target = Target(
            url=server.url, protocol="chat", model="m", engine_url=server.url, engine_key=KEY
        )
        assert scrape_engine(target) is not None
        conditions_of(workload(), target, Plan(), salt="s", recipe=None)
        assert {one.path for one in server.asked} >= {"/metrics", "/version"}
        assert bearers(server) == {f"Bearer {KEY}"}


def test_an_engine_that_wants_a_key_is_told_as_such() -> None:
    with (
        scripted_http(metrics=[(401, {"error": "Unauthorized"})]) as server,
        pytest.raises(RemoteError, match="wants a key") as caught,
    ):
        read_engine_metrics(server.url)
    assert "AUTOSRE_ENGINE_KEY" in caught.value.remedy


def test_a_feed_asks_with_the_key_and_records_without(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    with scripted_http(metrics=[(200, "vllm:num_requests_running 1\n")]) as server:
        sources = Sources(engine_url=server.url, engine_key=lambda: KEY)
        with Recorder(file) as recorder:
            feed = Feed(sources, recorder=recorder)
            assert feed.poll().engine is not None
            feed.stop()
        assert bearers(server) == {f"Bearer {KEY}"}
    assert KEY not in file.read_text()


def test_a_result_and_the_log_hold_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with scripted(*[Turn(text="a b c", chunk_interval_s=0.005)] * 30) as upstream:
        url = upstream.url.replace("http://", f"http://user:{KEY}@")
        target = Target(
            url=upstream.url,
            protocol="chat",
            model="m",
            token=KEY,
            engine_key=KEY,
            badge="scripted",
        )
        result = run_benchmark(workload(), target)
        named = conditions_of(
            workload(), msgspec.structs.replace(target, url=url), Plan(), salt="s", recipe=None
        )
    assert KEY not in save_result(result, tmp_path / "a.json").read_text()
    assert named.url == upstream.url
    assert KEY not in caplog.text


def test_a_redirect_takes_no_token_elsewhere() -> None:
    with scripted_http(v1__chat__completions=[(200, "")]) as elsewhere:
        moved = {"location": f"{elsewhere.url}/v1/chat/completions"}
        error = HttpError(status=307, headers=moved)
        with scripted(Turn(text="ok"), Turn(http_error=error)) as upstream:
            target = Target(url=upstream.url, protocol="chat", model="m", token=KEY)
            result = run_benchmark(workload(), target, Plan(check_tokens=0))
        assert elsewhere.asked == []
    assert result.timings[0].error.startswith("HTTP 307")
