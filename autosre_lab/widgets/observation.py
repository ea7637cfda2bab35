"""What the dashboard knows: the last minutes of a feed, bounded, as tables and as sentences."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autosre_lab.errors import MissingExtraError
from autosre_lab.metrics import FeedSample, LogLine
from autosre_lab.metrics.bottleneck import IN_WORDS, Bottleneck
from autosre_lab.metrics.catalogue import CATALOGUE, Unit
from autosre_lab.metrics.figures import figure_of, shown
from autosre_lab.metrics.limits import Limits
from autosre_lab.metrics.live_rates import LiveRates
from autosre_lab.proxy.request_log import RequestRecord

if TYPE_CHECKING:
    import pandas

__all__ = ["CHARTS", "POINTS", "Chart", "FigureLine", "Observation"]

POINTS = 1000
"""Samples that are kept, at most."""

_REQUESTS = 200
_LINES = 200
_CLIENT_WENT_AWAY = 499
_OWN_POLLS = ('"GET /metrics ', '"GET /health ')
"""In the engine's log for each of our polls, and of whoever asks whether it lives."""


@dataclass(frozen=True, slots=True)
class FigureLine:
    """One line of a chart.

    Attributes:
        key: Of the catalogue.
        name: In the legend.
        per: What the figure is divided by, for the axis.
    """

    key: str
    name: str
    per: float = 1.0


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart.

    Attributes:
        title: With the unit of its axis.
        series: Its lines.
        source: The part of a sample that it is about: whose absence is said on it.
        top: The axis' end at least.
    """

    title: str
    series: tuple[FigureLine, ...]
    source: str
    top: float = 1.0


_GIB = float(1 << 30)
_PERCENT = 0.01

CHARTS: tuple[Chart, ...] = (
    Chart(
        "Throughput, tokens/s",
        (
            FigureLine("rates.gen_tps", "generated"),
            FigureLine("rates.prompt_tps_compute", "prefilled"),
        ),
        "engine",
    ),
    Chart(
        "Time to first token, s",
        (
            FigureLine("rates.p50_ttft_s", "half"),
            FigureLine("rates.p95_ttft_s", "95 of 100"),
            FigureLine("rates.mean_ttft_s", "mean"),
        ),
        "engine",
        0.1,
    ),
    Chart(
        "Requests",
        (FigureLine("engine.running", "running"), FigureLine("engine.waiting", "waiting")),
        "engine",
    ),
    Chart(
        "Cache, %",
        (
            FigureLine("engine.kv_usage", "KV blocks in use", _PERCENT),
            FigureLine("rates.prefix_hit", "prefix hits", _PERCENT),
        ),
        "engine",
        100.0,
    ),
    Chart(
        "A request's time before its first token, s",
        (
            FigureLine("rates.mean_queue_s", "queue"),
            FigureLine("rates.mean_prefill_s", "prefill"),
        ),
        "engine",
        0.1,
    ),
    Chart(
        "From token to token, ms",
        (
            FigureLine("rates.mean_tpot_s", "per token", 1e-3),
            FigureLine("rates.mean_step_s", "engine step", 1e-3),
        ),
        "engine",
        10.0,
    ),
    Chart(
        "Whole answer, s",
        (FigureLine("rates.mean_e2e_s", "mean"),),
        "engine",
        0.5,
    ),
    Chart(
        "Preempted and refused, 1/s",
        (
            FigureLine("rates.preemptions_per_s", "preempted"),
            FigureLine("rates.rejections_per_s", "refused"),
        ),
        "engine",
    ),
    Chart(
        "GPU: power, W, and temperature, °C",
        (FigureLine("gpu.power_w", "power"), FigureLine("gpu.temperature_c", "temperature")),
        "gpu",
        10.0,
    ),
    Chart("GPU clock, MHz", (FigureLine("gpu.sm_clock_mhz", "SM clock"),), "gpu", 100.0),
    Chart(
        "Memory available, GiB",
        (FigureLine("host.memory_available_bytes", "available", _GIB),),
        "host",
    ),
    Chart(
        "Pressure of 10 s, % of time stalled",
        (
            FigureLine("host.pressure_memory_some.avg10", "memory", _PERCENT),
            FigureLine("host.pressure_cpu_some.avg10", "CPU", _PERCENT),
            FigureLine("host.pressure_io_some.avg10", "disk", _PERCENT),
        ),
        "host",
        5.0,
    ),
)
"""The charts, in reading order."""

_UNITS: dict[str, Unit] = {metric.key: metric.unit for metric in CATALOGUE}
KINDS = ("main", "subagent", "compaction", "background")


class Observation:
    """Takes a feed's samples; what it tells is bounded. Safe across threads.

    Args:
        window_s: What its rates cover.
        limits: The engine's, for the bottleneck.
        classes: Priorities by class, as the recipe says them.
    """

    def __init__(
        self,
        *,
        window_s: float = 10.0,
        limits: Limits | None = None,
        classes: dict[str, int] | None = None,
    ) -> None:
        self._window_s = window_s
        self._classes = classes or {}
        bounds = limits or Limits()
        self._live = LiveRates(window_s, limits=lambda: bounds)
        self._lock = threading.Lock()
        self._times: deque[float] = deque(maxlen=POINTS)
        self._values: dict[str, deque[float | None]] = {
            series.key: deque(maxlen=POINTS) for chart in CHARTS for series in chart.series
        }
        self._requests: deque[RequestRecord] = deque(maxlen=_REQUESTS)
        self._lines: deque[LogLine] = deque(maxlen=_LINES)
        self.sample: FeedSample | None = None
        self.bottleneck: Bottleneck | None = None
        self.taken = 0

    def take(self, sample: FeedSample) -> None:
        """Take the newest sample."""
        import msgspec

        rates = self._live.add(sample.engine, sample.gpu)
        windowed = msgspec.structs.replace(sample, rates=rates)
        with self._lock:
            self.sample = windowed
            self.taken += 1
            self._times.append(sample.time_s)
            for key, values in self._values.items():
                values.append(figure_of(windowed, key))
            self._requests.extend(sample.requests)
            self._lines.extend(
                line for line in sample.logs if not any(own in line.text for own in _OWN_POLLS)
            )
            self.bottleneck = self._live.bottleneck()

    def take_all(self, samples: Iterable[FeedSample]) -> None:
        """Take samples, oldest first."""
        for sample in samples:
            self.take(sample)

    def columns(self, *, seconds: float = 300.0) -> tuple[list[float], dict[str, list[float]]]:
        """Return times and values of the last seconds, a value that is not known as NaN.

        Returns:
            Seconds before the newest sample (negative), and values by key in the axis' unit.
        """
        per = {series.key: series.per for chart in CHARTS for series in chart.series}
        with self._lock:
            if not self._times:
                return [], {key: [] for key in self._values}
            newest = self._times[-1]
            first = next(at for at, time in enumerate(self._times) if newest - time <= seconds)
            times = [time - newest for time in self._times][first:]
            values = {
                key: [float("nan") if v is None else v / per[key] for v in list(column)[first:]]
                for key, column in self._values.items()
            }
        return times, values

    def missing(self, chart: Chart) -> str:
        """Return why a chart has nothing to show; empty where it has, or where nobody knows yet."""
        sample = self.sample
        if sample is None:
            return ""
        if chart.source == "gpu":
            reading = sample.gpu
            if reading is None:
                return sample.errors.get("gpu", "the GPU is not asked")
            if not reading.gpus:
                return f"no GPU here: {reading.unavailable}"
        elif getattr(sample, chart.source) is None:
            return sample.errors.get(chart.source, f"the {chart.source} is not asked")
        with self._lock:
            known = [
                series
                for series in chart.series
                if any(value is not None for value in self._values[series.key])
            ]
        if known or self.taken < 3:
            return ""
        if chart.source == "engine":
            return "nothing to tell yet: no request has ended"
        return f"this {chart.source} does not tell it"

    def headline(self) -> str:
        """Return what holds the engine back now, in words, with the figures it rests on."""
        if self.sample is None:
            return "no sample yet"
        if self.sample.engine is None:
            return f"engine: {self.sample.errors.get('engine', 'not asked')}"
        if self.bottleneck is None:
            return IN_WORDS["UNKNOWN"][0]
        return f"{IN_WORDS[self.bottleneck.label][0]}: {self.bottleneck.reason}"

    def advice(self) -> str:
        """Return what to do about it, and what could not be judged; empty where nothing is said."""
        if self.bottleneck is None:
            return ""
        cure = IN_WORDS[self.bottleneck.label][1]
        parts = [f"What to do: {cure}."] if cure else []
        if self.bottleneck.not_judged:
            unknown = ", ".join(IN_WORDS[one][0].lower() for one in self.bottleneck.not_judged)
            parts.append(f"Not judged, since figures are missing: {unknown}.")
        return " ".join(parts)

    def sentence(self, chart: Chart) -> str:
        """Return what a chart shows, in words."""
        why = self.missing(chart)
        if why:
            return f"{chart.title}: {why}"
        parts = []
        with self._lock:
            for series in chart.series:
                known = [value for value in self._values[series.key] if value is not None]
                if not known:
                    parts.append(f"{series.name} n/a")
                    continue
                unit = _UNITS.get(series.key, "share")
                last = self._values[series.key][-1]
                parts.append(
                    f"{series.name} {shown(last, unit)} now, "
                    f"{shown(min(known), unit)} to {shown(max(known), unit)} so far"
                )
        return f"{chart.title}: {'; '.join(parts) or 'no sample yet'}"

    def requests(self) -> list[RequestRecord]:
        """Return the requests that have ended, oldest first."""
        with self._lock:
            return list(self._requests)

    def lines(self) -> list[LogLine]:
        """Return the log lines, oldest first."""
        with self._lock:
            return list(self._lines)

    def class_rows(self) -> list[dict[str, object]]:
        """Return a row a priority class: its priority, requests, TTFT, tokens.

        A request that its client gave up (Esc in Claude Code) is cancelled, and has not failed.
        """
        rows: list[dict[str, object]] = []
        requests = self.requests()
        kinds = dict.fromkeys([*KINDS, *self._classes, *(one.kind for one in requests if one.kind)])
        for kind in kinds:
            own = [one for one in requests if one.kind == kind]
            first = sorted(one.ttft_ms for one in own if one.ttft_ms is not None)
            rows.append(
                {
                    "class": kind,
                    "priority": self._classes.get(kind),
                    "requests": len(own),
                    "failed": sum(one.status >= 400 and not _cancelled(one) for one in own),
                    "cancelled": sum(map(_cancelled, own)),
                    "ttft_p50_s": first[len(first) // 2] / 1000 if first else None,
                    "ttft_max_s": first[-1] / 1000 if first else None,
                    "output_tokens": sum(one.output_tokens for one in own),
                }
            )
        return rows

    def table(self) -> pandas.DataFrame:
        """Return the series as a table: the twin of the charts.

        Returns:
            Index ``time`` (UTC); a column a key of the catalogue, in the catalogue's unit; NaN
            where a figure is not known.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("samples as a table", extra="notebooks") from error
        with self._lock:
            table = pandas.DataFrame(
                {key: pandas.array(list(v), dtype="Float64") for key, v in self._values.items()}
            )
            table.index = pandas.to_datetime(list(self._times), unit="s", utc=True)
        table.index.name = "time"
        return table


def _cancelled(request: RequestRecord) -> bool:
    return request.disconnected or request.status == _CLIENT_WENT_AWAY
