"""Recordings of `autosre watch` as sections of a report."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from autosre_lab.metrics.catalogue import CATALOGUE
from autosre_lab.metrics.figures import figure_of, shown
from autosre_lab.metrics.recording import read_samples
from autosre_lab.metrics.samples import FeedSample
from autosre_lab.report.page import Figure, PageSection, Table

__all__ = ["recording_section"]

_POINTS = 2000
_DASHES = ("solid", "dash", "dot")
_DRAWN = (
    ("Tokens a second", "tokens/s", ("rates.gen_tps", "rates.prompt_tps_compute")),
    ("Requests", "requests", ("engine.running", "engine.waiting")),
    ("Shares", "share", ("engine.kv_usage", "rates.prefix_hit")),
)


def recording_section(path: Path) -> PageSection:
    """Return one recording: every metric's spread, and the main ones over time."""
    samples = list(read_samples(path))
    if not samples:
        return PageSection(title=f"Recording {path.name}", warnings=("It holds no sample.",))
    first, last = samples[0].time_s, samples[-1].time_s
    labels = Counter(one.bottleneck.label for one in samples if one.bottleneck is not None)
    told = ", ".join(f"{label} {count / len(samples):.0%}" for label, count in labels.most_common())
    failed = Counter(source for one in samples for source in one.errors)
    return PageSection(
        title=f"Recording {path.name}",
        text=(
            f"{len(samples)} samples in {last - first:.0f} s from "
            f"{datetime.fromtimestamp(first, UTC).isoformat(timespec='seconds')}. "
            f"Bottleneck: {told or 'never judged'}.",
        ),
        warnings=tuple(
            f"{source} had nothing to say in {count} of {len(samples)} samples"
            for source, count in failed.most_common()
        ),
        tables=(_spread(samples),),
        figures=tuple(
            figure for drawn in _DRAWN if (figure := _over_time(samples, *drawn)) is not None
        ),
    )


def _spread(samples: list[FeedSample]) -> Table:
    rows = []
    for metric in CATALOGUE:
        known = sorted(
            value for one in samples if (value := figure_of(one, metric.key)) is not None
        )
        cells = (
            [shown(known[at], metric.unit) for at in (0, len(known) // 2, -1)]
            if known
            else ["n/a"] * 3
        )
        rows.append((metric.title, *cells, str(len(known)), metric.source))
    return Table(
        head=("metric", "least", "median", "most", "known in", "how it is computed"),
        rows=tuple(rows),
        caption="n/a: never known here, which is not 0.",
    )


def _over_time(
    samples: list[FeedSample], title: str, unit: str, keys: tuple[str, ...]
) -> Figure | None:
    titles = {metric.key: metric.title for metric in CATALOGUE}
    every = max(1, len(samples) // _POINTS)
    traces = []
    for at, key in enumerate(keys):
        values = [figure_of(one, key) for one in samples[::every]]
        if all(value is None for value in values):
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": titles[key],
                "line": {"dash": _DASHES[at % len(_DASHES)]},
                "x": [one.time_s - samples[0].time_s for one in samples[::every]],
                "y": values,
            }
        )
    if not traces:
        return None
    return Figure(
        data=traces,
        layout={
            "title": {"text": title},
            "xaxis": {"title": {"text": "seconds"}},
            "yaxis": {"title": {"text": unit}, "rangemode": "tozero"},
        },
        summary=f"{title} over the recording: "
        + ", ".join(str(trace["name"]).lower() for trace in traces)
        + ".",
    )
