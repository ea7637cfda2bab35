"""The live dashboard: figures, charts, priority classes, requests and logs of a running stack."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autosre_lab.badges import Badge
from autosre_lab.cards import Card, badge_html
from autosre_lab.errors import AutosreError
from autosre_lab.markup import html_text
from autosre_lab.metrics import Feed, FeedSample, Sources
from autosre_lab.metrics.catalogue import CATALOGUE
from autosre_lab.metrics.figures import figure_of, shown
from autosre_lab.widgets.background import Work, error_html
from autosre_lab.widgets.chart import chart, plotly_for_charts
from autosre_lab.widgets.dashboard_figure import (
    colour_series,
    columns_for,
    dashboard_figure,
    show_observation,
)
from autosre_lab.widgets.front import front
from autosre_lab.widgets.observation import CHARTS, Observation
from autosre_lab.widgets.paced import Paced, close_at_exit
from autosre_lab.widgets.small_load import send_small_load
from autosre_lab.widgets.surface import Shown, require_widgets
from autosre_lab.widgets.theme import STYLE, figure_theme

if TYPE_CHECKING:
    import pandas

__all__ = ["Dashboard", "observe"]

_FEW = (
    "rates.gen_tps",
    "rates.mean_ttft_s",
    "rates.decode_s_per_token",
    "engine.running",
    "engine.waiting",
    "engine.kv_usage",
    "rates.prefix_hit",
    "gpu.power_w",
    "host.memory_available_bytes",
)
_CODE = re.compile("`([^`]*)`")
_REQUEST_ROWS = 8
_LOG_ROWS = 12


class Dashboard(Shown):
    """Shows a feed. It polls while somebody looks, and not before `start`.

    Args:
        sources: What to poll; the running stack's by default.
        badge: What produces the numbers; found out by default.
        interval_s: Seconds between polls.

    Attributes:
        seen: What was seen so far.
    """

    def __init__(
        self,
        sources: Sources | None = None,
        *,
        badge: Badge | None = None,
        interval_s: float = 1.0,
    ) -> None:
        from autosre_lab.widgets.badge import stack_badge

        self._sources = sources
        self._badge = badge
        self._interval_s = interval_s
        self._feed: Feed | None = None
        if badge is None and sources is None:
            self._badge = stack_badge()
        limits, classes = _of_recipe() if sources is None else (None, {})
        self.seen = Observation(limits=limits, classes=classes)
        self._paced = Paced(self._update)
        self._load = Work("Small load", on_change=self._paced.ask)
        self._view: Any = None
        self._parts: dict[str, Any] = {}
        self._figure: Any = None
        self._columns, self._dark = 3, False
        self._wanted = False
        close_at_exit(self)

    @property
    def running(self) -> bool:
        """Whether it polls."""
        return self._feed is not None

    def start(self) -> Dashboard:
        """Poll from now on, and return it."""
        self._wanted = True
        if self._feed is None:
            from autosre_lab.lifecycle import stack_sources

            sources = self._sources or stack_sources(request_tail_bytes=1 << 16)
            self._feed = Feed(sources, interval_s=self._interval_s, history=2)
            self._feed.subscribe(self._take)
            self._feed.start()
        self._paced.ask()
        return self

    def stop(self) -> None:
        """Poll no more; what was seen stays on the screen."""
        self._wanted = False
        self._pause()

    def close(self) -> None:
        """Stop, and take the view away."""
        self.stop()
        self._load.close()
        self._paced.close(last=False)
        if self._view is not None:
            for part in (*self._parts.values(), self._view):
                part.close()

    def watch(self, seconds: float, *, small_load: bool = False) -> Dashboard:
        """Poll for so long, for a run that nobody looks at; return it.

        Args:
            seconds: How long.
            small_load: Send short sessions meanwhile, so that something moves.

        Raises:
            NotReadyError: There is no stack to send them to.
        """
        self.start()
        if small_load:
            self.send_load(seconds)
            self._load.wait()
        else:
            time.sleep(seconds)
        self.stop()
        return self

    def send_load(self, seconds: float = 30.0) -> None:
        """Send short sessions to the running stack, in the background."""
        self._load.start(lambda: send_small_load(seconds, stopping=self._load.stopping))

    def table(self) -> pandas.DataFrame:
        """Return the charts as a table; see `Observation.table`."""
        return self.seen.table()

    def summary(self) -> dict[str, Any]:
        """Return the run's facts, for `summary.json`."""
        table = self.table()
        best = {str(key): _or_none(table[key].dropna().max()) for key in table.columns}
        found = self.seen.bottleneck
        return {
            "badge": self._badge,
            "samples": len(table),
            "max": best,
            "bottleneck": None if found is None else found.label,
            "requests": len(self.seen.requests()),
            "classes": {str(row["class"]): row["requests"] for row in self.seen.class_rows()},
            "without": {one.title: why for one in CHARTS if (why := self.seen.missing(one))},
        }

    def card(self) -> Card:
        """Return the newest figures."""
        sample = self.seen.sample
        rows = [] if sample is None else [(name, value) for name, value in _figures(sample)]
        return Card(title=self.seen.headline(), badge=self._badge, rows=rows)

    def widget(self) -> Any:
        """Return the view."""
        if self._view is None:
            self._build()
        return self._view

    def static(self) -> Sequence[Any]:
        """Return the newest figures, the charts, and their words."""
        figure = dashboard_figure()
        show_observation(figure, self.seen)
        return [
            _Printed(self.card()),
            figure,
            _Printed(self._class_card()),
            _Printed(self._words()),
        ]

    def _take(self, sample: FeedSample) -> None:
        self.seen.take(sample)
        if self._view is not None:
            self._paced.ask()

    def _pause(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.stop()
        self._paced.ask()

    def _looked_at(self, looked_at: bool) -> None:  # noqa: FBT001 - the front's callback
        if not looked_at:
            self._pause()
        elif self._wanted:
            self.start()

    def _build(self) -> None:
        widgets = require_widgets()
        parts = self._parts
        parts["start"] = widgets.Button(
            description="Start", icon="play", tooltip="Poll the stack once a second"
        )
        parts["stop"] = widgets.Button(
            description="Stop", icon="stop", tooltip="Poll no more; the charts stay"
        )
        parts["load"] = widgets.Button(
            description="Small load",
            icon="paper-plane",
            tooltip="Send short sessions to the stack for 30 s, so that something moves",
        )
        parts["load"].on_click(lambda _: self._load_by_hand())
        parts["start"].on_click(lambda _: self._started_by_hand())
        parts["stop"].on_click(lambda _: self._stopped_by_hand())
        for name in ("state", "figures", "classes", "requests", "logs", "words"):
            parts[name] = widgets.HTML()
        parts["front"] = front(on_theme=self._theme, on_views=self._looked_at, on_width=self._fit)
        self._figure = dashboard_figure()
        parts["plotly"], parts["figure"] = plotly_for_charts(), chart()
        parts["style"] = widgets.HTML(f"<style>{STYLE}</style>")
        head = widgets.HBox(
            [parts["start"], parts["stop"], parts["load"], parts["state"]],
            layout={"flex_flow": "row wrap"},
        )
        order = (
            "plotly",
            "style",
            "figures",
            "figure",
            "classes",
            "requests",
            "logs",
            "words",
            "front",
        )
        self._view = widgets.VBox([head, *(parts[name] for name in order)])
        self._view.add_class("autosre")
        self._update()

    def _stopped_by_hand(self) -> None:
        self._load.stop()
        self.stop()

    def _load_by_hand(self) -> None:
        if not self._load.running:
            self.send_load()

    def _started_by_hand(self) -> None:

        try:
            self.start()
        except AutosreError as error:
            self._parts["state"].value = error_html(error)

    def _fit(self, width: int) -> None:
        columns = columns_for(width)
        if columns != self._columns:
            self._columns = columns
            self._figure = dashboard_figure(columns=columns)
            show_observation(self._figure, self.seen)
            self._theme(self._dark)

    def _theme(self, dark: bool) -> None:  # noqa: FBT001 - the front's callback
        self._dark = dark
        figure_theme(self._figure, dark=dark)
        colour_series(self._figure, dark=dark)
        self._parts["figure"].show(self._figure)

    def _update(self) -> None:
        if self._view is None:
            return
        parts = self._parts
        if self._feed is not None and not parts["front"].seen():
            return
        parts["start"].disabled, parts["stop"].disabled = self.running, not self.running
        parts["load"].disabled = self._load.running
        for name, text in (
            ("state", self._state_html()),
            ("figures", self._figures_html()),
            ("classes", self._class_card().html()),
            ("requests", self._requests_card().html()),
            ("logs", self._logs_html()),
            ("words", self._words_html()),
        ):
            if parts[name].value != text:
                parts[name].value = text
        show_observation(self._figure, self.seen)
        parts["figure"].show(self._figure)

    def _state_html(self) -> str:
        sample = self.seen.sample
        at = "" if sample is None else time.strftime("%H:%M:%S", time.localtime(sample.time_s))
        state = "▶ watching" if self.running else "◼ stopped"
        load = self._load
        sent = f" · {load.text()}" if load.state != "idle" else ""
        failed = "" if load.error is None else error_html(load.error)
        return f'<span role="status">{state} {at}{html_text(sent)}</span>{failed}'

    def _figures_html(self) -> str:
        badge = "" if self._badge is None else badge_html(self._badge)
        advice = _CODE.sub(r"<code>\1</code>", html_text(self.seen.advice()))
        title = (
            f'<div class="autosre-title">{html_text(self.seen.headline())} {badge}</div>'
            f'<div class="autosre-dim">{advice}</div>'
        )
        sample = self.seen.sample
        if sample is None:
            return title
        cells = "".join(
            f"<div><dt>{html_text(name)}</dt><dd>{html_text(value)}</dd></div>"
            for name, value in _figures(sample)
        )
        return f'{title}<dl class="autosre-figures">{cells}</dl>'

    def _class_card(self) -> Card:
        rows = [
            (
                str(row["class"]),
                "n/a" if row["priority"] is None else str(row["priority"]),
                str(row["requests"]),
                str(row["failed"]),
                str(row["cancelled"]),
                _seconds(row["ttft_p50_s"]),
                _seconds(row["ttft_max_s"]),
                f"{row['output_tokens']:,}",
            )
            for row in self.seen.class_rows()
        ]
        return Card(
            title="Priority classes; a lower number goes first",
            head=(
                *("class", "priority", "ended", "failed", "cancelled"),
                *("TTFT p50", "TTFT max", "output tokens"),
            ),
            rows=rows,
        )

    def _requests_card(self) -> Card:
        last = self.seen.requests()[: -_REQUEST_ROWS - 1 : -1]  # the newest first
        keys = any(one.key for one in last)
        rows = [
            (
                one.time[11:19],
                one.kind or "other",
                f"{one.status} {one.error}".strip(),
                one.stop_reason or "n/a",
                f"{one.input_tokens + one.cached_tokens:,}",
                f"{one.cached_tokens:,}",
                f"{one.output_tokens:,}",
                _seconds(None if one.ttft_ms is None else one.ttft_ms / 1e3),
                _seconds(None if one.total_ms is None else one.total_ms / 1e3),
                *([one.key] if keys else []),
            )
            for one in last
        ]
        head = ("arrived, UTC", "class", "status", "stop", "prompt", "cached", "output")
        return Card(
            title="Last requests" if rows else "Last requests: none yet",
            head=(*head, "TTFT", "total", *(["key"] if keys else [])) if rows else (),
            rows=rows,
        )

    def _logs_html(self) -> str:
        lines = self.seen.lines()[-_LOG_ROWS:]
        text = "\n".join(f"{one.source:7}{_printable(one.text)}" for one in lines)
        return (
            "<details open><summary>Logs</summary>"
            f'<pre tabindex="0" aria-label="Logs">{html_text(text or "no lines yet")}</pre>'
            "</details>"
        )

    def _words_html(self) -> str:
        lines = "".join(f"<li>{html_text(self.seen.sentence(one))}</li>" for one in CHARTS)
        return f"<details><summary>The charts in words</summary><ul>{lines}</ul></details>"

    def _words(self) -> Card:
        return Card(
            title="The charts in words",
            rows=[self.seen.sentence(one).split(": ", 1) for one in CHARTS],
        )


def observe(sources: Sources | None = None, *, badge: Badge | None = None) -> Dashboard:
    """Return a dashboard of the running stack, to be shown at a cell's end, then started.

    Its twin without a widget is its `table()`.

    Args:
        sources: What to poll; the running stack's by default.
        badge: What produces the numbers; found out for the running stack.
    """
    return Dashboard(sources, badge=badge)


class _Printed:
    """A card that is displayed by itself."""

    def __init__(self, card: Card) -> None:
        self._card = card

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self._card.mimebundle()


def _of_recipe() -> tuple[Any, dict[str, int]]:
    from autosre_lab import lifecycle
    from autosre_lab.errors import RecipeError
    from autosre_lab.metrics.limits import recipe_limits
    from autosre_lab.recipe import load_recipe

    name = lifecycle.status().recipe_name
    if name is None:
        return None, {}
    try:
        recipe = load_recipe(name)
    except RecipeError:
        return None, {}
    return recipe_limits(recipe), dict(recipe.scheduler.classes)


def _figures(sample: FeedSample) -> list[tuple[str, str]]:
    by_key = {metric.key: metric for metric in CATALOGUE}
    return [
        (by_key[key].title, shown(figure_of(sample, key), by_key[key].unit))
        for key in _FEW
        if not key.startswith("gpu.") or (sample.gpu is not None and sample.gpu.gpus)
    ]


def _or_none(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):  # pandas' own NA
        return None
    return None if number != number else round(number, 4)


def _seconds(value: Any) -> str:
    return shown(value, "s")


def _printable(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable() or sign == "\t")
