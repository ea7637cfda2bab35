"""A run in figures."""

from __future__ import annotations

import pytest

from autosre_lab.bench.slo import is_good, parse_slo
from autosre_lab.bench.summary import samples_by_session, summarise
from autosre_lab.errors import ConfigError
from tests.bench.timings import failed, request
from tests.support.h100 import card


def test_a_request_is_timed_by_the_definitions() -> None:
    one = request(due=1.0, sent=1.25, ttft=0.5, tpot=0.1, tokens=11)
    assert one.dispatch_delay_s == 0.25
    assert one.ttft_s == 0.5
    assert one.tpot_s == pytest.approx(0.1)
    assert one.e2el_s == pytest.approx(1.5)
    assert one.e2el_scheduled_s == pytest.approx(1.75)
    assert one.ntpot_s == pytest.approx(1.5 / 11)
    assert one.icl_s == pytest.approx([0.1] * 10)
    assert one.fresh_tokens == 20


def test_chunks_of_several_tokens_do_not_pass_for_tokens() -> None:
    # Five chunks of four tokens: speculative decoding.
    one = request(tokens=5, tpot=0.2, output_tokens=20, first_chunk_tokens=4)
    assert one.tokens_per_chunk == 4
    assert one.tpot_s == pytest.approx(0.8 / 16)
    assert one.icl_s == pytest.approx([0.2] * 4)


def test_time_per_token_is_not_said_of_one_token_nor_of_a_calls_hidden_opening() -> None:
    assert request(tokens=1).tpot_s is None
    assert request(first_chunk_tokens=None).tpot_s is None


def test_throughput_is_over_the_time_from_the_first_sending_to_the_last_end() -> None:
    summary = summarise([request("a", due=0.0), request("b", due=8.5)])
    assert summary.duration_s == pytest.approx(10.0)
    assert summary.output_tps == pytest.approx(2.2)
    assert summary.rps == pytest.approx(0.2)
    assert summary.concurrency == pytest.approx(0.3)
    assert summary.hit_rate == pytest.approx(0.8)
    assert summary.prefill_tps == pytest.approx(40)
    assert summary.decode_tps == pytest.approx(10)


def test_failures_and_turns_not_sent_count_as_bad() -> None:
    limits = parse_slo("ttft=1s")
    timings = [request("a"), request("b", ttft=2.0), failed("c")]
    summary = summarise(timings, unsent=1, limits=limits)
    assert summary.good_fraction == 0.25
    assert summary.error_rate == pytest.approx(1 / 3)
    assert summary.goodput_rps == pytest.approx(1 / summary.duration_s)
    assert summarise(timings).good_fraction is None


def test_warm_up_is_left_out_of_every_figure() -> None:
    slow = request("w", ttft=50.0, warmup=True)
    summary = summarise([slow, request("a"), request("b")])
    assert (summary.requests, summary.warmup) == (2, 1)
    assert summary.latency["ttft"].max == 0.5


def test_what_the_server_does_not_say_is_unknown_and_not_zero() -> None:
    summary = summarise([request("a"), request("b", cached_tokens=None)])
    assert summary.cached_tokens is None
    assert summary.hit_rate is None
    assert "ttfa" not in summary.latency
    assert summary.value("ttfa_p50") is None


def test_percentiles_wait_for_enough_samples() -> None:
    few = summarise([request(str(n)) for n in range(99)]).latency["ttft"]
    many = summarise([request(str(n)) for n in range(200)]).latency["ttft"]
    assert (few.p90, few.p95, few.p99) == (None, None, None)
    assert (many.p90, many.p95, many.p99) == (0.5, 0.5, None)


def test_a_figure_has_a_name() -> None:
    summary = summarise([request("a")])
    assert summary.value("ttft_p50") == 0.5
    assert summary.value("output_tps") == summary.output_tps
    for wrong in ("latency", "ttft", "ttft_p42", "nothing"):
        with pytest.raises(KeyError):
            summary.value(wrong)


def test_a_sessions_time_is_from_its_first_due_turn_to_its_last_end() -> None:
    turns = [request("a", 0, due=0.0), request("a", 1, due=5.0)]
    summary = summarise(turns)
    assert summary.session_s == pytest.approx(6.5)
    assert summary.turns_per_hour == pytest.approx(2 * 3600 / 6.5)


def test_samples_stay_with_their_sessions() -> None:
    timings = [request("b", ttft=3), request("a", 1, ttft=2), request("a", 0, ttft=1), failed("c")]
    assert samples_by_session(timings, "ttft") == [[1, 2], [3], []]


def test_nothing_measured_is_no_division_by_zero() -> None:
    summary = summarise([])
    assert summary.output_tps is None
    assert summary.latency == {}


@pytest.mark.parametrize("text", ["ttft", "ttft=", "ttft=0s", "ttft=2x", "speed=1s", "icl=1s"])
def test_a_limit_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="ttft=2s"):
        parse_slo(text)


def test_limits_are_seconds() -> None:
    assert parse_slo(" ttft=2s, tpot=50ms,e2el=30 ") == {"ttft": 2.0, "tpot": 0.05, "e2el": 30.0}
    assert parse_slo("") == {}


def test_a_limit_on_what_did_not_apply_is_kept() -> None:
    assert is_good(request(tokens=1), {"tpot": 0.01, "ttfa": 0.01})
    assert not is_good(request(), {"tpot": 0.01})
    assert not is_good(request(first_token_ns=None), {"ttft": 9})


def test_turns_that_the_clock_cut_off_are_not_bad() -> None:
    # 755 turns of an H100, all of them good, and 191 that the time did not reach: "79.8 %".
    measured = card("cc")
    limits = measured.conditions.limits
    summary = summarise(measured.timings, cut=191, limits=limits)
    assert summary.good_fraction == 1.0
    assert (summary.cut, summary.unsent) == (191, 0)
    assert summarise(measured.timings, unsent=191, limits=limits).good_fraction == pytest.approx(
        755 / 946
    )


def test_the_work_done_is_told_from_first_to_last_tokens() -> None:
    # 8 requests under way, of which a third prefills or waits.
    summary = summarise(card("cc").timings)
    assert summary.concurrency == pytest.approx(7.95, abs=0.01)
    assert summary.decoding == pytest.approx(5.2, abs=0.01)
    assert summary.decoded_tps == pytest.approx(1805, rel=0.02), "what the engine says it made"


def test_a_single_stream_decodes_at_its_own_pace() -> None:
    alone = summarise([request("a", tokens=11), request("b", due=10, tokens=11)])
    assert alone.decoding == pytest.approx(2 * 1.0 / 11.5)
    assert alone.decoded_tps == pytest.approx(20 / 2.0)
    assert summarise([request("a", tokens=1)]).decoded_tps is None
