"""Better than the incumbent only where the blocks say so."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from autosre_lab.bench.result import Result
from autosre_lab.bench.summary import summarise
from autosre_lab.tuning.experiment import Objective
from autosre_lab.tuning.verdict import compare_blocks
from tests.bench.test_comparison import result
from tests.bench.timings import request


def near(value: Any, **within: Any) -> Any:
    return pytest.approx(value, **within)


TTFT = Objective(figure="ttft_p50")
TPS = Objective(figure="output_tps", want="high")


def block(*ttfts: float) -> Result:
    timings = [request(str(n), ttft=one) for n, one in enumerate(ttfts)]
    return msgspec.structs.replace(result("r"), timings=timings, summary=summarise(timings))


def paced(tokens: int) -> Result:
    """A block of so many tokens in one second."""
    timings = [request("s", ttft=0.5, tpot=0.5 / (tokens - 1), tokens=tokens)]
    return msgspec.structs.replace(result("r"), timings=timings, summary=summarise(timings))


def test_a_latency_is_better_where_its_interval_excludes_one() -> None:
    slow, fast = block(1, 2, 3), block(0.5, 1, 1.5)
    assert compare_blocks(TTFT, [slow], [fast]) == (
        near(0.5),
        near((0.5, 0.5)),
        True,
    )
    assert compare_blocks(TTFT, [fast], [slow])[2] is False
    assert compare_blocks(TTFT, [slow], [slow]) == (1.0, (1.0, 1.0), False)
    ratio, interval, better = compare_blocks(TTFT, [block(1, 2, 3)], [block(0.5, 3, 2.5)])
    assert interval is not None
    assert interval[0] < 1 < interval[1]
    assert (ratio, better) == (near(1.25), False)


def test_which_part_of_the_distribution_is_meant() -> None:
    p90, mean = (Objective(figure=f"ttft_{which}") for which in ("p90", "mean"))
    usual = [1.0] * 80
    slow, fast = block(*usual, *[10.0] * 20), block(*usual, *[5.0] * 20)
    assert compare_blocks(p90, [slow], [fast]) == (
        near(0.5),
        near((0.5, 0.5)),
        True,
    )
    ratio, interval, better = compare_blocks(mean, [block(1, 1, 7)], [block(1, 1, 4)])
    assert (ratio, better) == (near(2 / 3), False)
    assert interval == near((12 / 21, 1.0), abs=0.01)


def test_too_few_sessions_show_no_interval() -> None:
    assert compare_blocks(TTFT, [block(1, 2)], [block(0.5, 1)]) == (near(0.5), None, False)


def test_all_blocks_count() -> None:
    ratio, interval, better = compare_blocks(
        TTFT, [block(1, 1), block(3, 3)], [block(1, 1), block(1, 1)]
    )
    assert (ratio, better) == (near(0.5), False)
    assert interval is not None
    assert interval[0] < 0.5
    assert interval[1] == near(1.0)


def test_any_other_figure_wants_each_block_to_beat_each() -> None:
    assert compare_blocks(TPS, [paced(11), paced(12)], [paced(21), paced(22)]) == (
        near(43 / 23),
        None,
        True,
    )
    assert not compare_blocks(TPS, [paced(11)], [paced(21), paced(22)])[2]
    assert not compare_blocks(TPS, [paced(11), paced(12)], [paced(21)])[2]
    assert not compare_blocks(TPS, [paced(11), paced(23)], [paced(21), paced(22)])[2]
    assert not compare_blocks(TPS, [paced(11), paced(12)], [paced(12), paced(22)])[2]


def test_nothing_measured_is_no_verdict() -> None:
    nothing = block()
    for objective in (TTFT, TPS):
        assert compare_blocks(objective, [nothing], [block(1, 2, 3)]) == (None, None, False)
        assert compare_blocks(objective, [block(1, 2, 3)], [nothing]) == (None, None, False)
        assert compare_blocks(objective, [], []) == (None, None, False)
