from __future__ import annotations

from dataclasses import replace

from autosre_lab.studies.proxy_overhead.stats import Added
from autosre_lab.studies.proxy_overhead.table import Figures, missed_targets, render_table


def added(p50_ms: float) -> Added:
    return Added(
        n=1000,
        p50_ms=p50_ms,
        low_ms=p50_ms - 0.1,
        high_ms=p50_ms + 0.1,
        p99_ms=2 * p50_ms,
        max_ms=9 * p50_ms,
    )


OURS = Figures(
    name="ours",
    version="1.0",
    small=added(1.0),
    claude=added(2.0),
    small_us=500.0,
    agent_us=1000.0,
    burst_us=10.0,
    paced_us=50.0,
    rss_mb=60.0,
    streams=(500, 500),
    streams_wall_s=5.0,
    streams_ms=2.0,
    streams_rss_mb=70.0,
)
RIVAL = replace(
    OURS,
    name="rival",
    version="2.0",
    claude=added(30.0),
    agent_us=1090.0,
    burst_us=688.0,
    rss_mb=420.0,
)
DIRECT = Figures(name="direct", version="", burst_us=3.0, streams=(500, 500))


def cells(table: str, label: str) -> list[str]:
    line = next(line for line in table.splitlines() if line.startswith(f"| {label} "))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_table_divides_the_rivals_figures_by_ours() -> None:
    table = render_table([DIRECT, OURS, RIVAL], ours="ours", baseline="direct")

    assert cells(table, "rival / ours") == [
        "1.00×", "1.00×", "15×", "15×", "1.00×", "1.09×", "69×", "1.00×", "7.0×", "1.00×",
        "1.00×", "1.00×", "",
    ]  # fmt: skip


def test_the_way_without_a_proxy_has_figures_but_no_ratio() -> None:
    table = render_table([DIRECT, OURS, RIVAL], ours="ours", baseline="direct")

    assert cells(table, "direct")[6] == "3.0"
    assert "direct / ours" not in table


def test_what_was_not_measured_is_shown_as_a_dash() -> None:
    table = render_table(
        [OURS, replace(RIVAL, claude=None, streams=None)], ours="ours", baseline="direct"
    )

    assert cells(table, "rival 2.0")[2] == "–"
    assert cells(table, "rival 2.0")[-1] == "–"
    assert cells(table, "rival / ours")[2] == "–"


def test_all_lines_of_the_table_are_equally_wide() -> None:
    lines = render_table([DIRECT, OURS, RIVAL], ours="ours", baseline="direct").splitlines()

    assert len({len(line) for line in lines}) == 1


def test_figures_at_their_targets_miss_none() -> None:
    at_the_limit = replace(OURS, claude=added(3.0), burst_us=15.0, paced_us=100.0, rss_mb=80.0)

    assert missed_targets(at_the_limit) == []


def test_every_missed_target_is_named() -> None:
    bad = replace(
        OURS, claude=added(3.1), burst_us=15.1, paced_us=101.0, rss_mb=81.0, streams=(500, 499)
    )

    missed = missed_targets(bad)

    assert len(missed) == 5
    assert missed[0] == "ttft_claude_p50_ms is 3.10, the target 3"
    assert missed[-1] == "499 of 500 concurrent streams ended well"
