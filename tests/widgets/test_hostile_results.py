"""Result files are data: whatever their texts are, no view of them has markup of theirs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import nbformat
import pytest

from autosre_lab import markup
from autosre_lab.bench.comparison import compare_results
from autosre_lab.bench.recorded import cache_profile
from autosre_lab.bench.result import save_result
from autosre_lab.cards import Card
from autosre_lab.evaluation import save_evaluation
from autosre_lab.notebooks.page import write_page
from autosre_lab.report import gather, write_report
from autosre_lab.widgets import (
    BenchPanel,
    EvaluationPanel,
    SessionPanel,
    TuningPanel,
    plot_cache,
    plot_comparison,
    plot_latencies,
    plot_levels,
    plot_parallel,
    plot_pareto,
    plot_requests,
    plot_trials,
)
from autosre_lab.widgets.background import error_html
from tests.bench.recorded.test_cache_profile import record
from tests.bench.test_comparison import result
from tests.bench.timings import failed
from tests.evaluation.test_result import result as evaluation
from tests.widgets.test_panels import within
from tests.widgets.test_result_figures import TRIALS

HOSTILE = {
    "a tag": "<x-pwn onpwn=1>",
    "a script": "</script><x-pwn onpwn=1>",
    "a hidden script": "<!--<script><x-pwn>",
    "the end of an attribute": "'\"><x-pwn onpwn=1 a='\"",
    "a link": '<a href="http://pwn.invalid">x</a>',
    "a link of Markdown": "[x](http://pwn.invalid)",
    "a template": "%{customdata[0]}<x-pwn>",
    "an entity": "&lt;x-pwn&gt;<x-pwn>",
    "a cell": "x | <x-pwn> |\n<x-pwn>",
    "the terminal": "\x1b[2J\x1b]0;pwn\x07<x-pwn>",
}
FIXED = re.compile(r"^\d{4}-\d\d-\d\d|^autosre\.")
T = TypeVar("T")


def hostile(value: T, text: str) -> T:
    """Return the same with every text in it replaced that its type leaves free."""
    kind: Any = type(value)
    tree = msgspec.to_builtins(value)

    def spoil(part: Any, put: Any) -> None:
        if isinstance(part, dict):
            for name in list(part):
                spoil(part[name], lambda new, part=part, name=name: part.__setitem__(name, new))
        elif isinstance(part, list):
            for at, one in enumerate(part):
                spoil(one, lambda new, part=part, at=at: part.__setitem__(at, new))
        elif isinstance(part, str) and not FIXED.match(part):
            put(f"{part} {text}")
            try:
                msgspec.convert(tree, kind)
            except msgspec.ValidationError:
                put(part)

    spoil(tree, None)
    found: T = msgspec.convert(tree, kind)
    return found


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        if tag == "x-pwn" or any("pwn" in str(value) for name, value in attrs if name == "href"):
            self.wrong.append(f"<{tag} {attrs}>")
        self.wrong += [name for name, _ in attrs if name == "onpwn"]

    def handle_comment(self, data: str) -> None:
        if "script" in data:
            self.wrong.append(data[:80])

    def handle_data(self, data: str) -> None:
        if self._in_script and "pwn" in data and "<" in data[max(0, data.find("pwn") - 20) :][:40]:
            self.wrong.append(data[:200])


def markup_of_others(html: str) -> list[str]:
    """Return what a browser would read as markup of the hostile texts'."""
    parser = _Tags()
    parser.feed(html)
    parser.close()
    return parser.wrong


def strings(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from strings(value)
    elif isinstance(part, list):
        for value in part:
            yield from strings(value)


def in_figure(shown: str) -> list[str]:
    """Return the texts of a figure that plotly would read as a tag or a template of theirs."""
    tree = json.loads(shown)
    texts = [one for part in (tree["data"], tree["layout"]) for one in strings(part)]
    return [one for one in texts if "<x-pwn" in one or "<a " in one or "<script" in one]


def figures(text: str) -> dict[str, Any]:
    a, b = hostile(result("a"), text), hostile(result("b", factor=1.5), text)
    timings = [hostile(one, text) for one in [*result("c").timings, failed("9")]]
    trials = [hostile(one, text) for one in TRIALS]
    records = [hostile(record(at, 2000 + 100 * at, 1024, kind="web"), text) for at in range(3)]
    return {
        "comparison": plot_comparison(compare_results(a, b), a.badge),
        "latencies": plot_latencies([a, b]),
        "levels": plot_levels([hostile(evaluation("ppf"), text)]),
        "parallel": plot_parallel(trials, "scripted", objective=text),
        "pareto": plot_pareto(trials, "scripted"),
        "requests": plot_requests(timings, "scripted"),
        "trials": plot_trials(trials, "scripted"),
        "cache": plot_cache(
            cache_profile(records, session=records[0].session, block_tokens=16), "fixture"
        ),
    }


def test_the_test_notices_markup() -> None:
    assert markup_of_others("<b title='x'><x-pwn></b>")
    assert markup_of_others("<script>x = '<x-pwn>'</script>")
    assert markup_of_others('<a href="http://pwn.invalid">x</a>')
    spoiled = hostile(result("a"), "<x-pwn>")
    assert "<x-pwn>" in spoiled.id
    assert "<x-pwn>" in str(spoiled.conditions.recipe)
    assert spoiled.badge == "cpu-engine"


@pytest.mark.parametrize("what", HOSTILE)
def test_no_figure_has_it(what: str) -> None:
    for name, figure in figures(HOSTILE[what]).items():
        assert in_figure(figure.to_json()) == [], name


@pytest.mark.parametrize("what", HOSTILE)
def test_no_card_has_it(what: str) -> None:
    text = HOSTILE[what]
    cards: list[Any] = [hostile(result("a"), text), hostile(evaluation("pf"), text)]
    bundles = [one._repr_mimebundle_() for one in cards]
    bundles.append(
        Card(
            title=text,
            head=[text, text],
            rows=[[text, text]],
            notes=[text],
            parts=[Card(title=text)],
        ).mimebundle()
    )
    for bundle in bundles:
        assert markup_of_others(bundle["text/html"]) == []
        assert markup_of_others(bundle["text/markdown"]) == []
        assert "](http" not in bundle["text/markdown"]
        assert "\x1b" not in bundle["text/plain"]


@pytest.mark.parametrize("what", HOSTILE)
def test_no_panel_has_it(what: str, tmp_path: Path) -> None:
    text = HOSTILE[what]
    for at, factor in enumerate((1.0, 1.5)):
        one = result(f"r{at}", factor=factor, warnings=("unwell",))
        save_result(hostile(one, text), tmp_path / f"{at}.result.json.gz")
        spoiled = hostile(msgspec.structs.replace(evaluation("pf"), id=f"e{at}"), text)
        save_evaluation(spoiled, tmp_path / f"{at}.evaluation.json")
    log = tmp_path / "requests.jsonl"
    records = [hostile(record(at, 2000 + 100 * at, 1024), text) for at in range(3)]
    log.write_bytes(b"\n".join(map(msgspec.json.encode, records)) + b"\n")
    sessions = SessionPanel(tmp_path / "s", log=str(log))
    sessions.choose(sessions._latest())
    tuning = TuningPanel("smollm2-135m-cpu", tmp_path / "t")
    tuning.promoted = Path(f"/tmp/{text}")
    panels: list[Any] = [BenchPanel(tmp_path), EvaluationPanel(tmp_path), sessions, tuning]
    seen, drawn = "", list[Any]()
    assert [len(panels[0].results), len(panels[1].results), len(sessions.profile())] == [2, 2, 3]
    for panel in panels:
        panel.title = text
        panel.problem = ValueError(text)
        view = panel.widget()
        panel.changed()
        panel._redraw()
        texts = "".join(str(w.value) for w in within(view) if type(w).__name__ == "HTML")
        assert markup_of_others(texts) == [], panel
        shown = [in_figure(one.figure) for one in panel._live.values()]
        assert [one for one in shown if one] == []
        drawn += [one for one in panel._live.values() if json.loads(one.figure)["data"]]
        for part in panel.static():
            if hasattr(part, "_repr_html_") and not hasattr(part, "to_json"):
                assert markup_of_others(part._repr_html_()) == []
        seen += texts
        panel.close()
    assert "pwn" in seen
    assert len(drawn) >= 3


@pytest.mark.parametrize("what", HOSTILE)
def test_no_error_has_it(what: str) -> None:
    assert markup_of_others(error_html(ValueError(HOSTILE[what]))) == []


@pytest.mark.parametrize("what", HOSTILE)
def test_no_report_has_it(what: str, tmp_path: Path) -> None:
    text = HOSTILE[what]
    save_result(hostile(result("a", warnings=("unwell",)), text), tmp_path / "in" / "a.json.gz")
    save_evaluation(hostile(evaluation("pf"), text), tmp_path / "in" / "e.json")
    page = write_report(gather([tmp_path / "in"]), tmp_path / "out", title=text).read_text("utf-8")
    assert "pwn" in page
    assert markup_of_others(page) == []


@pytest.mark.parametrize("what", HOSTILE)
def test_no_notebooks_page_has_it(what: str, tmp_path: Path) -> None:
    text = HOSTILE[what]
    figure = figures(text)["latencies"]
    figure.update_layout(title=text)  # as a person's own cell may
    data = {"application/vnd.plotly.v1+json": json.loads(figure.to_json())}
    output = nbformat.v4.new_output("display_data", data=data)
    cell = nbformat.v4.new_code_cell("figure", outputs=[output], execution_count=1)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "n.ipynb")
    page = write_page(tmp_path / "n.ipynb").read_text("utf-8")
    drawn = page[page.index("Plotly.newPlot(") - 400 :] if 'newPlot("figure-0"' in page else page
    assert markup_of_others(drawn[drawn.index('<div id="figure-0"') :]) == []


def test_texts_are_escaped_in_one_place() -> None:
    """`html.escape` stands in one module; the web's own reading of pages is another matter."""
    package = Path(markup.__file__).parent
    others = {"web", "browser", "mcp_servers", "proxy"}
    found = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if file.relative_to(package).parts[0] not in others
        and re.search(r"\bhtml\.escape\b|from html import", file.read_text("utf-8"))
    ]
    assert found == ["markup.py"]
