"""What vLLM exposes is read as it is meant, in each version."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from autosre_lab.errors import RemoteError
from autosre_lab.metrics import EngineSample, Histogram, parse_engine_metrics, read_engine_metrics
from autosre_lab.metrics.engine_sample import COUNTERS, HISTOGRAMS
from autosre_lab.metrics.vllm_text import scrape
from tests.metrics.bodies import BODIES, body, parsed


@pytest.mark.parametrize("name", BODIES)
def test_the_usual_series_are_found_in_each_version(name: str) -> None:
    sample = parsed(name)
    for field in ("running", "waiting", "kv_usage", "generation_tokens", "prefix_hits_tokens"):
        assert isinstance(getattr(sample, field), float), field
    assert sample.cache_config
    assert sample.started_s is not None
    assert sample.model
    histograms = {field for field in HISTOGRAMS if getattr(sample, field) is not None}
    assert set(HISTOGRAMS) - histograms == {"block_lifetime_s", "block_idle_s", "block_reuse_s"}


def test_a_real_engine_is_read_to_the_token() -> None:
    sample = parsed("vllm-0.32.0-after")
    assert sample.generation_tokens == 2 + 40 + 40 + 20 + 26
    assert sample.prompt_tokens == 907
    assert (sample.prompt_tokens_computed, sample.prompt_tokens_hit) == (395, 512)
    assert (sample.prefix_queries_tokens, sample.prefix_hits_tokens) == (907, 512)
    assert sample.finished == {"stop": 1, "length": 5, "abort": 0, "error": 0, "repetition": 0}
    assert sample.http_requests is not None
    assert sample.http_requests["/v1/chat/completions 2xx"] == 6
    assert sample.cache_config[0]["block_size"] == "128"
    assert sample.cache_config[0]["num_gpu_blocks"] == "364"
    assert sample.awake is True
    assert sample.tool_parser_calls is not None
    assert sample.tool_parser_calls["streaming no_tool_call chat_completions"] == 40


def test_iteration_tokens_total_is_a_histogram_in_spite_of_its_name() -> None:
    iterations = parsed("vllm-0.32.0-after").iteration_tokens
    assert iterations is not None
    assert (iterations.sum, iterations.count) == (523, 128)
    assert iterations.buckets[0][0] == 1.0


def test_what_a_version_does_not_expose_is_none_and_told() -> None:
    older, newer = parsed("vllm-0.24.0-plain"), parsed("vllm-0.33.0-plain")
    assert older.rejections is None
    assert newer.rejections == 0
    assert "rejections" in older.unsupported
    assert "rejections" not in newer.unsupported
    for sample in (older, newer):
        assert sample.drafts is None
        assert sample.accepted_per_position is None


def test_an_estimate_that_the_engine_does_not_make_is_none_not_zero() -> None:
    assert "vllm:estimated_read_bytes_per_gpu_total" in body("vllm-0.32.0-after")
    assert parsed("vllm-0.32.0-after").read_bytes is None


def test_engines_of_one_server_are_summed_and_the_fullest_cache_counts() -> None:
    sample = parsed("vllm-0.24.0-speculative-dp2")
    assert sample.engines == 2
    assert sample.running == 8
    assert (sample.waiting_capacity, sample.waiting_deferred) == (6, 2)
    assert sample.kv_usage == 0.5
    assert sample.generation_tokens == 164
    assert sample.finished is not None
    assert sample.finished["stop"] == 2
    assert sample.ttft_s is not None
    assert sample.ttft_s.count == 4
    assert [labels["engine"] for labels in sample.cache_config] == ["0", "1"]


def test_speculation_is_read_by_position() -> None:
    sample = parsed("vllm-0.24.0-speculative-dp2")
    assert (sample.drafts, sample.draft_tokens, sample.accepted_tokens) == (80, 240, 120)
    assert sample.accepted_per_position == (60, 40, 20)


def test_more_than_ten_positions_stay_in_order() -> None:
    lines = "".join(
        f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{engine="0",position="{i}"}} {i}\n'
        for i in (10, 2, 0, 1)
    )
    head = "# TYPE vllm:spec_decode_num_accepted_tokens_per_pos_total counter\n"
    assert parse_engine_metrics(head + lines).accepted_per_position == (0, 1, 2, 10)


def test_created_gauges_date_the_process_and_are_nothing_else() -> None:
    text = body("vllm-0.32.0-after")
    assert "_created" in text
    sample = parse_engine_metrics(text)
    assert sample.started_s == pytest.approx(1795457958, abs=1)
    biggest = max(getattr(sample, field) or 0 for field in COUNTERS)
    assert biggest < 1e6


def test_a_value_that_is_no_number_is_none() -> None:
    text = body("vllm-0.32.0-after")
    for old in (
        'kv_cache_usage_perc{engine="0",model_name="smollm2-135m"} 0.0',
        'queue_time_seconds_sum{engine="0",model_name="smollm2-135m"} 0.011369827003363753',
    ):
        assert old in text
        text = text.replace(old, f"{old.rpartition(' ')[0]} NaN")
    sample = parse_engine_metrics(text)
    assert sample.kv_usage is None
    assert sample.queue_s is None
    assert msgspec.json.decode(msgspec.json.encode(sample), type=EngineSample) == sample


def test_a_body_of_something_else_has_no_engine() -> None:
    sample = parse_engine_metrics("# TYPE up gauge\nup 1\n")
    assert (sample.engines, sample.model, sample.running) == (0, "", None)


TTFT = "vllm:time_to_first_token_seconds"
CUT = f'# TYPE {TTFT} histogram\n{TTFT}_bucket{{le="40.}}"}} 3\n'


@pytest.mark.parametrize("text", ["<html>no</html>", "vllm:x{engine= 3", "a b c d e", CUT])
def test_a_body_that_is_no_exposition_text_is_refused(text: str) -> None:
    with pytest.raises(RemoteError, match="exposition text"):
        parse_engine_metrics(text)


@pytest.mark.parametrize("name", BODIES)
def test_a_sample_goes_through_json_unchanged(name: str) -> None:
    sample = parsed(name)
    assert msgspec.json.decode(msgspec.json.encode(sample), type=EngineSample) == sample


def test_a_quantile_lies_within_its_bucket_and_is_none_above_the_last() -> None:
    histogram = Histogram(sum=10.0, count=10, buckets=((1.0, 4), (2.0, 8)))
    assert histogram.quantile(0.2) == pytest.approx(0.5)
    assert histogram.quantile(0.5) == pytest.approx(1.25)
    assert histogram.quantile(0.99) is None
    assert Histogram(sum=0, count=0, buckets=((1.0, 0),)).quantile(0.5) is None


def test_an_engine_that_refuses_or_does_not_answer_is_told_with_a_remedy() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(404, text="not here"))
    with httpx.Client(transport=transport) as client, pytest.raises(RemoteError) as caught:
        scrape(client, "http://engine")
    assert caught.value.status == 404
    with pytest.raises(RemoteError, match="does not answer"):
        read_engine_metrics("127.0.0.1:1", timeout_s=2)


def test_a_scrape_is_timed_on_the_clock_of_the_benchmarks() -> None:
    text = body("vllm-0.32.0-after")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=text))
    with httpx.Client(transport=transport) as client:
        first, second = scrape(client, "http://engine"), scrape(client, "http://engine")
    assert second.clock_ns > first.clock_ns
    assert first.scrape_s is not None
    assert first.scrape_s > 0
