"""The stack in a terminal: figures, requests, GPUs, host, connections, logs."""

from __future__ import annotations

import itertools
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from autosre_lab.metrics.bottleneck import Bottleneck
from autosre_lab.metrics.catalogue import CATALOGUE, Metric
from autosre_lab.metrics.feed import Feed
from autosre_lab.metrics.figures import figure_of, shown, sparkline
from autosre_lab.metrics.logs_feed import LogLine
from autosre_lab.metrics.rates import WindowRates
from autosre_lab.metrics.samples import FeedSample
from autosre_lab.proxy.request_log import RequestRecord

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["StackView", "watch_live", "watch_once"]

_GROUPS = (
    ("Engine", ("Throughput", "Latency")),
    ("Queue and cache", ("Queue", "Cache", "Speculation")),
    ("GPU and host", ("GPU", "Host")),
)
_FEW = {
    "rates.gen_tps",
    "rates.prompt_tps_compute",
    "rates.mean_ttft_s",
    "rates.decode_s_per_token",
    "engine.running",
    "engine.waiting",
    "engine.kv_usage",
    "rates.prefix_hit",
    "gpu.util",
    "gpu.memory_used_bytes",
    "gpu.power_w",
    "gpu.temperature_c",
    "host.cpu_busy",
    "host.memory_available_bytes",
    "host.pressure_memory_some.avg10",
}
_SPARK = 30
_OWN_SCRAPE = '"GET /metrics '
"""In the engine's log for each of our polls."""
_WHOLE_WIDTH, _WHOLE_HEIGHT = 120, 42
_WHOLE_LINES, _FEW_LINES = 29, 16
_LABELS = {
    "KV_PRESSURE": "yellow",
    "SEQ_CAP": "yellow",
    "TOKEN_BUDGET": "yellow",
    "PREEMPTING": "red",
    "DEFERRED": "yellow",
    "QUEUED": "yellow",
    "CACHE_MISS": "yellow",
    "FRONTEND_BOUND": "yellow",
    "BANDWIDTH_BOUND": "green",
}


class StackView:
    """What is on the screen: the last sample, the rates of a longer window, requests, lines.

    Args:
        feed: Where the samples come from; its sources know the engine's limits.
        window_s: What the rates on the screen cover.
        recording: The file that is recorded to, shown in the headline.
    """

    def __init__(self, feed: Feed, *, window_s: float = 10.0, recording: str = "") -> None:
        self._live = feed.sources.live_rates(window_s)
        self._window_s = window_s
        self._recording = recording
        self._sample: FeedSample | None = None
        self._rates: WindowRates | None = None
        self._requests: deque[RequestRecord] = deque(maxlen=50)
        self._lines: deque[LogLine] = deque(maxlen=200)
        self._gen_tps: deque[float | None] = deque(maxlen=_SPARK)

    def take(self, sample: FeedSample) -> None:
        """Take the newest sample."""
        self._sample = sample
        self._rates = self._live.add(sample.engine, sample.gpu)
        self._requests.extend(sample.requests)
        self._lines.extend(line for line in sample.logs if _OWN_SCRAPE not in line.text)
        self._gen_tps.append(figure_of(sample, "rates.gen_tps"))

    def bottleneck(self) -> Bottleneck:
        """Return what holds the engine back, by the window on the screen."""
        return self._live.bottleneck()

    def line(self) -> str:
        """Return the newest sample as one line, for output that is no terminal."""
        sample = self._sample
        if sample is None:
            return "no sample yet"
        at = time.strftime("%H:%M:%S", time.localtime(sample.time_s))
        if sample.engine is None:
            return f"{at}  engine: {sample.errors.get('engine', 'not asked')}"
        figures = {
            metric.key: shown(figure_of(self._windowed(), metric.key), metric.unit)
            for metric in CATALOGUE
        }
        return (
            f"{at}  {self.bottleneck().label}  gen {figures['rates.gen_tps']}  "
            f"running {figures['engine.running']}  waiting {figures['engine.waiting']}  "
            f"ttft {figures['rates.mean_ttft_s']}  tpot {figures['rates.decode_s_per_token']}  "
            f"kv {figures['engine.kv_usage']}  prefix {figures['rates.prefix_hit']}  "
            f"gpu {figures['gpu.util']}  gpu memory {figures['gpu.memory_used_bytes']}  "
            f"power {figures['gpu.power_w']}  cpu {figures['host.cpu_busy']}  "
            f"available {figures['host.memory_available_bytes']}"
        )

    def screen(self, width: int = 140, height: int = 50) -> RenderableType:
        """Return everything, to be printed by rich.

        Args:
            width: Columns that there is room for; fewer than 120 show the most important figures.
            height: Lines that there is room for; fewer than 42 likewise.
        """
        from rich.console import Group

        whole = width >= _WHOLE_WIDTH and height >= _WHOLE_HEIGHT
        parts = [self._headline(), self._all_figures() if whole else self._few_figures()]
        parts.append(self._services())
        left = max(8, height - (_WHOLE_LINES if whole else _FEW_LINES))
        parts += [self._request_table(left // 2, keys=whole), self._log_panel(left - left // 2)]
        return Group(*parts)

    def _windowed(self) -> FeedSample:
        assert self._sample is not None  # noqa: S101 - called with a sample only
        return msgspec.structs.replace(self._sample, rates=self._rates)

    def _headline(self) -> RenderableType:
        from rich.panel import Panel
        from rich.text import Text

        sample = self._sample
        text = Text()
        if sample is None:
            return Panel(Text("waiting for the first sample"), title="autosre watch")
        if sample.engine is None:
            text.append("engine: ", "bold")
            text.append(sample.errors.get("engine", "not asked"))
        else:
            found = self.bottleneck()
            text.append(f"{found.label} ", f"bold {_LABELS.get(found.label, 'default')}")
            text.append(found.reason)
            if found.label == "UNDERLOADED" and found.not_judged:
                text.append(f" (not judged: {', '.join(found.not_judged)})", "dim")
            text.append(f"\ngeneration {sparkline(list(self._gen_tps), _SPARK)} ", "bold")
            text.append(shown(figure_of(sample, "rates.gen_tps"), "tok/s") + " now")
        for source, error in sample.errors.items():
            if source != "engine":
                text.append(f"\n{source}: {error}", "dim")
        if sample.gpu is not None and sample.gpu.unavailable:
            text.append(f"\nGPU: {sample.gpu.unavailable}", "dim")
        at = time.strftime("%H:%M:%S", time.localtime(sample.time_s))
        model = sample.engine.model if sample.engine is not None else "no engine"
        title = f"autosre watch · {model} · {at} · rates of {self._window_s:g} s"
        foot = f"poll {shown(sample.poll_s, 's')} · Ctrl-C ends"
        if self._recording:
            foot += f" · recorded to {self._recording}"
        return Panel(text, title=title, subtitle=foot)

    def _all_figures(self) -> RenderableType:
        from rich.table import Table

        grid = Table.grid(padding=(0, 2))
        tables = []
        for title, sections in _GROUPS:
            table = Table(title=title, box=None, show_header=False, title_style="bold")
            table.add_column(style="dim", no_wrap=True)
            table.add_column(justify="right", no_wrap=True)
            for metric in CATALOGUE if self._sample is not None else ():
                if metric.section in sections and not self._hides(metric):
                    table.add_row(metric.title, self._figure(metric))
            tables.append(table)
        grid.add_row(*tables)
        return grid

    def _few_figures(self) -> RenderableType:
        from rich.table import Table

        grid = Table.grid(padding=(0, 1))
        for _ in range(2):
            grid.add_column(style="dim", no_wrap=True)
            grid.add_column(justify="right", no_wrap=True, min_width=11)
        if self._sample is None:
            return grid
        few = [metric for metric in CATALOGUE if metric.key in _FEW and not self._hides(metric)]
        cells = [(metric.title, self._figure(metric)) for metric in few]
        for row in (
            zip(cells[::2], [*cells[1::2], ("", "")], strict=False)
            if self._sample is not None
            else ()
        ):
            grid.add_row(*itertools.chain.from_iterable(row))
        return grid

    def _hides(self, metric: Metric) -> bool:
        """Whether it is of GPUs where there is none; the headline says so."""
        gpu = self._sample.gpu if self._sample is not None else None
        return metric.key.startswith("gpu.") and (gpu is None or not gpu.gpus)

    def _figure(self, metric: Metric) -> str:
        return shown(figure_of(self._windowed(), metric.key), metric.unit)

    def _services(self) -> RenderableType:
        from rich.table import Table

        table = Table(box=None, padding=(0, 1), title="Processes", title_style="bold")
        for title in ("service", "port", "connections", "pid", "memory", "CPUs", "threads"):
            table.add_column(
                title, header_style="dim", justify="left" if title == "service" else "right"
            )
        sample = self._sample
        if sample is None:
            return table
        processes = {one.name: one for one in sample.host.processes} if sample.host else {}
        ports = {one.name: one for one in sample.connections or ()}
        for name in dict.fromkeys([*ports, *processes]):
            process, port = processes.get(name), ports.get(name)
            table.add_row(
                name,
                _states(port.states) if port else "n/a",
                str(port.port) if port else "n/a",
                str(process.pid) if process else "n/a",
                shown(process.resident_bytes if process else None, "B"),
                shown(process.cpu if process else None, "count"),
                str(process.threads) if process else "n/a",
            )
        if not ports and not processes:
            table.add_row("none on this machine", *[""] * 6)
        return table

    def _request_table(self, rows: int, *, keys: bool) -> RenderableType:
        from rich.table import Table

        table = Table(box=None, padding=(0, 1), title="Requests", title_style="bold")
        for title in ("arrived", "kind", "status", "stop"):
            table.add_column(title, header_style="dim")
        for title in ("prompt", "cached", "output", "ttft", "total"):
            table.add_column(title, header_style="dim", justify="right")
        last = list(self._requests)[-max(1, rows - 2) :]
        keys = keys and any(record.key for record in last)
        if keys:
            table.add_column("key", header_style="dim")
        for record in last:
            table.add_row(*_request_row(record), *([record.key] if keys else []))
        if not self._requests:
            table.add_row("none yet", *[""] * 8)
        return table

    def _log_panel(self, rows: int) -> RenderableType:
        from rich.text import Text

        text = Text("Logs\n", "bold", no_wrap=True, overflow="ellipsis")
        for line in list(self._lines)[-max(1, rows - 1) :]:
            text.append(f"{line.source} ", "dim")
            text.append(_printable(line.text) + "\n", "default")
        if not self._lines:
            text.append("no lines yet", "default")
        return text


def watch_once(feed: Feed, *, interval_s: float = 1.0) -> FeedSample:
    """Poll twice, so that there are rates, and return the second sample."""
    first = feed.poll()
    time.sleep(interval_s)
    second = feed.poll()
    return msgspec.structs.replace(
        second, requests=first.requests + second.requests, logs=first.logs + second.logs
    )


def watch_live(
    feed: Feed, view: StackView, *, console: Console | None = None, seconds: float | None = None
) -> None:
    """Show a feed until it is interrupted: a live screen, or lines where there is no terminal."""
    from rich.console import Console

    shown_by = console if console is not None else Console()
    with feed:
        if not shown_by.is_terminal:
            for sample in feed.stream(seconds=seconds):
                view.take(sample)
                shown_by.print(view.line(), highlight=False, soft_wrap=True)
            return
        from rich.live import Live

        # The alternate screen: what was in the terminal before is there again afterwards.
        with Live(console=shown_by, screen=True, auto_refresh=False) as live:
            for sample in feed.stream(seconds=seconds):
                view.take(sample)
                live.update(view.screen(shown_by.width, shown_by.height), refresh=True)


def _states(states: dict[str, int]) -> str:
    order = sorted(states, key=lambda state: (state != "established", state))
    open_ones = [f"{states[state]} {state}" for state in order if state != "listen"]
    if open_ones:
        return ", ".join(open_ones)
    return "0" if states else "not listening"


def _request_row(record: RequestRecord) -> tuple[str, ...]:
    status = str(record.status) + (f" {record.error}" if record.error else "")
    return (
        _local_time(record.time),
        record.kind,
        status,
        record.stop_reason or "n/a",
        f"{record.input_tokens + record.cached_tokens:,}",
        f"{record.cached_tokens:,}",
        f"{record.output_tokens:,}",
        shown(None if record.ttft_ms is None else record.ttft_ms / 1000, "s"),
        shown(None if record.total_ms is None else record.total_ms / 1000, "s"),
    )


def _local_time(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return text


def _printable(text: str) -> str:
    """Leave out what would move the cursor or change colours."""
    return "".join(sign for sign in text if sign.isprintable() or sign == "\t")
