"""Whether clients agree, from what they write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.bench.target import Protocol
from autosre_lab.errors import BenchmarkError
from autosre_lab.studies.agreement.command import (
    AIPERF,
    OURS,
    VLLM,
    agreement_rows,
    beyond_engine_rows,
)
from autosre_lab.studies.agreement.tools import Times, read_aiperf, read_vllm_bench
from autosre_lab.studies.harness_cost import PROTOCOLS, harness_text, measure_harness


def times(ttft: float, tpot: float) -> Times:
    return Times(ttft_s=(ttft,) * 3, tpot_s=(tpot,) * 3)


@pytest.mark.parametrize(
    ("theirs", "agree"), [(0.2009, True), (0.1991, True), (0.206, False), (0.19, False)]
)
def test_medians_agree_within_two_per_cent_or_a_millisecond(theirs: float, agree: bool) -> None:
    rows = agreement_rows({OURS: [times(0.2, 0.01)], VLLM: [times(theirs, 0.0109)]})
    found = {row.metric: row.agree for row in rows}
    assert found == {"ttft": agree, "tpot": True}


def test_rounds_are_pooled_before_the_median_is_taken() -> None:
    rounds = [times(0.1, 0.01), times(0.3, 0.01), times(0.3, 0.01)]
    rows = agreement_rows({OURS: [times(0.3, 0.01)], AIPERF: rounds})
    assert [(row.metric, row.requests, row.agree) for row in rows] == [
        ("ttft", 9, True),
        ("tpot", 9, True),
    ]


def test_on_an_engine_what_a_client_adds_to_its_own_requests_is_compared() -> None:
    def beside(ttft: float, tpot: float, engine: float) -> Times:
        return Times(
            ttft_s=(ttft,) * 3, tpot_s=(tpot,) * 3, engine_ttft_s=engine, engine_tpot_s=tpot
        )

    rounds = {
        OURS: [beside(0.201, 0.02, 0.2), beside(0.301, 0.03, 0.3)],
        # Slower requests, timed as well; then one round in which others were counted too.
        VLLM: [beside(0.402, 0.04, 0.4), times(9.0, 9.0)],
        AIPERF: [beside(0.21, 0.02, 0.2)],
    }
    found = {(row.metric, row.other): row for row in beyond_engine_rows(rounds)}
    assert found["ttft", VLLM].ours_s == pytest.approx(0.001)
    assert found["ttft", VLLM].theirs_s == pytest.approx(0.002)
    assert {key: row.agree for key, row in found.items()} == {
        ("ttft", VLLM): True,
        ("ttft", AIPERF): False,
        ("tpot", VLLM): True,
        ("tpot", AIPERF): True,
    }


# Both shortened from what the tools wrote for the paced server.
VLLM_BENCH: dict[str, Any] = {
    "failed": 0,
    "ttfts": [0.060, 0.061],
    "itls": [[0.0000035, 0.0105, 0.0094, 0.00002], [0.01]],
    "output_lens": [3, 1],
}
AIPERF_LINE = {
    "metadata": {"session_num": 0},
    "metrics": {
        "time_to_first_token": {"value": 61.3, "unit": "ms"},
        "inter_token_latency": {"value": 9.99, "unit": "ms"},
    },
}


def test_vllm_benchs_time_per_token_is_its_definition(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text(json.dumps(VLLM_BENCH))
    found = read_vllm_bench(file)
    assert found.ttft_s == (0.060, 0.061)
    assert list(found.tpot_s) == pytest.approx([0.0199235 / 2])


def test_failed_requests_are_no_measurement(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text(json.dumps(VLLM_BENCH | {"failed": 2}))
    with pytest.raises(BenchmarkError, match="2 requests"):
        read_vllm_bench(file)


def test_aiperfs_milliseconds_become_seconds(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    one_token = {"metrics": {"time_to_first_token": {"value": 50.0}}}
    file.write_text(json.dumps(AIPERF_LINE) + "\n" + json.dumps(one_token) + "\n")
    found = read_aiperf(file)
    assert list(found.ttft_s) == pytest.approx([0.0613, 0.05])
    assert list(found.tpot_s) == pytest.approx([0.00999])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_token_of_the_paced_server_is_timed_and_none_before_it_was_written(
    protocol: Protocol,
) -> None:
    cost = measure_harness(protocol=protocol, streams=4, tokens_per_s=50, seconds=0.5)
    assert (cost.tokens, cost.lost) == (100, 0)
    assert 0 < cost.error_p50_s <= cost.error_p99_s <= cost.error_max_s
    # Whatever else runs: a client that stamps at all is not late by the length of the stream.
    assert cost.error_p50_s < 0.25
    assert cost.cpu_us_per_token > 0
    assert protocol in harness_text([cost])
