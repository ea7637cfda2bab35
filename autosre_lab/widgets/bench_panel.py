"""The benchmark's panel: choose work and target, watch it run, compare what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import NotComparableError
from autosre_lab.markup import html_text
from autosre_lab.widgets.background import error_html
from autosre_lab.widgets.bench_results import (
    comparison_table,
    difference_table,
    plot_comparison,
    plot_latencies,
    plot_requests,
    requests_table,
    results_table,
)
from autosre_lab.widgets.measuring import measure_stack, results_in
from autosre_lab.widgets.pair import PairChoice
from autosre_lab.widgets.panel import Panel
from autosre_lab.widgets.surface import require_widgets

if TYPE_CHECKING:
    import pandas

    from autosre_lab.bench.comparison import Comparison
    from autosre_lab.bench.result import Result
    from autosre_lab.bench.timing import RequestTiming

__all__ = ["BenchPanel"]

_TARGETS = {
    "Messages API, through the proxy": "messages",
    "Chat Completions API, at the engine": "chat",
    "Responses API, at the engine": "responses",
}


class BenchPanel(Panel):
    """Measures the stack that runs. Its twins are `measure_stack` and `results_table`.

    Args:
        folder: Where result cards are kept; those that are there are shown too.
        workload: What is measured at first.
        parameters: Of the workload, ``NAME: VALUE`` with commas between.
        arrivals: When sessions start.
        cache: State of the prefix cache as a session begins.
        api: What is measured: ``messages``, ``chat`` or ``responses``.

    Attributes:
        results: All result cards, the oldest first.
        measured: Those of them that this panel measured.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        workload: str = "smoke",
        parameters: str = "",
        arrivals: str = "closed:1",
        cache: str = "cold",
        api: str = "messages",
    ) -> None:
        super().__init__("Benchmark")
        self.folder = Path(folder)
        self._asked = {
            "workload": workload,
            "parameters": parameters,
            "arrivals": arrivals,
            "cache": cache,
            "api": api,
        }
        self.results: list[Result] = results_in(self.folder)
        self.measured: list[Result] = []
        self._timings: list[RequestTiming] = []
        self._pair = PairChoice("the last two of the same work", self._offered, self.changed)

    def measure(self, *, repeats: int = 1) -> Result | None:
        """Measure what the form says.

        Args:
            repeats: So many times, each with a result card of its own.

        Returns:
            The last result; None where it still runs, in the background.
        """
        asked = dict(self._asked)

        def call() -> Result | None:
            for _ in range(repeats):
                self._timings = []
                result = measure_stack(
                    **asked,  # type: ignore[arg-type]
                    folder=self.folder,
                    seen=self._seen,
                    stopping=self.work.stopping.is_set,
                )
                self.results.append(result)
                self.measured.append(result)
                self._pair.offer()
                self.changed()
            return self.measured[-1] if self.measured else None

        found: Result | None = self.begin(call)
        return found

    def comparison(self) -> Comparison | None:
        """Return the two chosen results side by side; the last two of the same work by default.

        Raises:
            NotComparableError: They are not of the same work; it says what differs.
        """
        from autosre_lab.bench.comparison import compare_results

        if self._pair.chosen is not None:
            a, b = (self._by_id(one) for one in self._pair.chosen)
            return compare_results(a, b) if a is not None and b is not None else None
        if len(self.results) < 2:
            return None
        for earlier in self.results[-2::-1]:
            try:
                return compare_results(earlier, self.results[-1])
            except NotComparableError:
                continue
        return None

    def actions(self) -> Sequence[Any]:
        """Return the button that measures."""
        return [self.button("Measure", "play", "Measure what Settings say", self.measure)]

    def form(self) -> Mapping[str, Sequence[Any]]:
        """Return the fields, and the choice of two results."""
        from autosre_lab.bench.synthetic import workload_names

        widgets = require_widgets()
        style = {"description_width": "90px"}
        wide = widgets.Layout(width="420px")
        fields = {
            "workload": widgets.Dropdown(
                options=workload_names(), description="Workload", style=style, layout=wide
            ),
            "parameters": widgets.Text(
                description="Parameters",
                placeholder="NAME: VALUE, with commas between",
                style=style,
                layout=wide,
            ),
            "arrivals": widgets.Text(description="Arrivals", style=style, layout=wide),
            "cache": widgets.Dropdown(
                options=["cold", "warm"], description="Cache", style=style, layout=wide
            ),
            "api": widgets.Dropdown(
                options=list(_TARGETS.items()), description="Target", style=style, layout=wide
            ),
        }
        self.bind(fields, self._asked)
        grid = widgets.GridBox(
            list(fields.values()),
            layout={"grid_template_columns": "repeat(auto-fit, minmax(430px, 1fr))"},
        )
        return {"Settings": [grid], "Compare two results": [self._pair.widget()]}

    def tables(self) -> Mapping[str, pandas.DataFrame]:
        """Return results, what differs between two, their ratios, and the requests."""
        found = {"Results": results_table(self.results)}
        comparison = self._compared()
        if comparison is not None:
            found["Configuration: what differs"] = difference_table(comparison)
            found["Ratios"] = comparison_table(comparison)
        return found | {"Requests of the last run": requests_table(self._timings)}

    def figures(self) -> Mapping[str, Any]:
        """Return the comparison, medians with intervals, and requests as they come."""
        from autosre_lab.widgets.figures import new_figure

        badge = self.results[-1].badge if self.results else None
        self.badge = badge
        comparison = self._compared()
        return {
            "comparison": plot_comparison(comparison, badge, dark=self.dark)
            if comparison is not None
            else new_figure("", dark=self.dark),
            "latencies": plot_latencies(self.results[-8:], dark=self.dark)
            if self.results
            else new_figure("", dark=self.dark),
            "requests": plot_requests(self._timings, badge, dark=self.dark)
            if self._timings
            else new_figure("", dark=self.dark),
        }

    def notes(self) -> Sequence[str]:
        """Return why the two chosen results cannot be compared, or what is the same in them."""
        try:
            comparison = self.comparison()
        except NotComparableError as error:
            return [error_html(error)]
        if comparison is None:
            return []
        count = len(comparison.differences)
        said = f"{count} conditions differ" if count else "nothing differs: the ratio is the noise"
        pair = f"{self._named(comparison.b)} beside {self._named(comparison.a)}"
        return [
            f"<div>{html_text(f'{pair}: {said}')}.</div>",
            *(f"<div>⚠ {html_text(warning)}</div>" for warning in comparison.warnings),
        ]

    def summary(self) -> dict[str, Any]:
        """Return what was measured here, and the last of it, for `save_summary`."""
        last = self.measured[-1] if self.measured else None
        comparison = self._compared() if last is not None else None
        return {
            "badge": last.badge if last is not None else None,
            "results": [one.id for one in self.measured],
            "requests": last.summary.requests if last is not None else 0,
            "failed": last.summary.failed if last is not None else 0,
            "output_tps": last.summary.output_tps if last is not None else None,
            "hit_rate": last.summary.hit_rate if last is not None else None,
            "ttft_p50_s": last.summary.value("ttft_p50") if last is not None else None,
            "tpot_p50_s": last.summary.value("tpot_p50") if last is not None else None,
            "warnings": list(last.warnings) if last is not None else [],
            "differences": len(comparison.differences) if comparison is not None else None,
            "verdicts": {one.metric: one.verdict for one in comparison.rows} if comparison else {},
        }

    def _seen(self, timing: RequestTiming) -> None:
        self._timings.append(timing)
        self.changed()

    def _compared(self) -> Comparison | None:
        try:
            return self.comparison()
        except NotComparableError:
            return None  # `notes` says why

    def _offered(self) -> list[tuple[str, str]]:
        return [
            (
                f"{one.at[11:19]} {one.conditions.recipe}, {one.conditions.workload} ({one.id})",
                one.id,
            )
            for one in self.results
        ]

    def _named(self, name: str) -> str:
        one = self._by_id(name)
        if one is None:
            return name
        return f"{one.conditions.recipe}, {one.conditions.workload} at {one.at[11:19]}"

    def _by_id(self, name: str) -> Result | None:
        return next((one for one in self.results if one.id == name), None)
