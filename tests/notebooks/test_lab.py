"""The lab as a person has it: JupyterLab and Voilà in a real Chromium, and papermill."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autosre_lab.notebooks import page_server
from autosre_lab.stack import Stack
from tests.notebooks.jupyter import (
    free_port,
    new_page,
    open_notebook,
    run_all,
    save_and_reload,
    served,
    summary,
    switch_to_dark,
    until_dark,
    until_figures_fill,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NEWEST = """() => {
  const plot = document.querySelector('.js-plotly-plot');
  const y = plot && plot._fullData && plot._fullData[0] && plot._fullData[0].y;
  const n = y ? y.length : 0;
  return n ? n : 0;
}"""


COLUMNS = """() => {
  const layout = document.querySelector('.js-plotly-plot')._fullLayout;
  const axes = Object.keys(layout).filter(name => /^xaxis\\d*$/.test(name));
  return new Set(axes.map(name => layout[name].domain[0].toFixed(2))).size;
}"""


@pytest.fixture(autouse=True)
def _same_folders(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stack.log_dir is not None
    state = stack.log_dir.parent
    monkeypatch.setenv("AUTOSRE_STATE_DIR", str(state))
    monkeypatch.setenv("AUTOSRE_CONFIG_DIR", str(state.parent / "config"))
    monkeypatch.setenv("AUTOSRE_RECIPE", "scripted")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autosre_lab.notebooks", "run", *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def drawn(page: Page) -> int:
    return int(page.evaluate(NEWEST))


@pytest.mark.browser
@pytest.mark.notebook
@pytest.mark.timeout(400)
def test_a_person_watches_the_plot_move_stops_it_and_switches_the_theme(
    lab: tuple[Page, str],
) -> None:
    page, url = lab
    open_notebook(page, url, "3_observe.ipynb")
    run_all(page)
    page.wait_for_selector("text=watching >> visible=true")
    page.wait_for_function(f"() => ({NEWEST})() > 1")
    until_figures_fill(page)
    before = drawn(page)
    page.click("button:has-text('Small load'):visible")
    page.wait_for_function(f"() => ({NEWEST})() > {before + 2}")
    page.wait_for_function(
        "() => Array.from(document.querySelector('.js-plotly-plot')._fullData[0].y)"
        ".some(value => value > 0)"
    )
    assert page.locator(".autosre-badge:has-text('scripted engine')").count() >= 1
    assert page.locator("text=no GPU here").count() >= 1, "said, and not shown as zeros"
    page.click("button:has-text('Stop'):visible")
    page.wait_for_selector("text=stopped >> visible=true")
    page.wait_for_selector("text=Small load: stopped >> visible=true")
    stopped = drawn(page)
    save_and_reload(page)
    switch_to_dark(page)
    until_dark(page)
    assert drawn(page) == stopped, "nothing more came after Stop"
    # A narrow page has fewer charts beside each other, still dark.
    page.set_viewport_size({"width": 800, "height": 1100})
    page.wait_for_function(f"() => [1, 2].includes(({COLUMNS})())")
    until_dark(page)


@pytest.mark.browser
@pytest.mark.notebook
@pytest.mark.claude
@pytest.mark.timeout(400)
def test_the_quickstart_shows_its_figure_in_either_theme_and_after_a_reload(
    lab: tuple[Page, str], state_folder: Path
) -> None:
    page, url = lab
    open_notebook(page, url, "1_quickstart.ipynb")
    run_all(page)
    told = summary(page, state_folder, "quickstart")
    assert (told["recipe"], told["is_error"]) == ("scripted", False)
    until_figures_fill(page)
    save_and_reload(page)
    switch_to_dark(page)
    until_dark(page)


@pytest.mark.browser
@pytest.mark.notebook
@pytest.mark.timeout(400)
def test_the_deploy_notebook_looks_and_changes_nothing(
    lab: tuple[Page, str], state_folder: Path, stack: Stack
) -> None:
    page, url = lab
    open_notebook(page, url, "2_deploy.ipynb")
    run_all(page)
    told = summary(page, state_folder, "deploy")
    assert (told["recipe"], told["state"]) == ("scripted", "ready")
    page.wait_for_selector(".autosre div[role=status]:has-text(': done')", state="attached")


@pytest.mark.browser
@pytest.mark.notebook
@pytest.mark.timeout(400)
def test_the_dashboard_is_a_page_that_asks_for_its_token(browser: Browser) -> None:
    server = page_server("observe", port=free_port())
    base = server.url.partition("?")[0]
    with (
        served(server.command, f"{base}login", environ=server.environ),
        new_page(browser) as page,
    ):
        # Without a token one lands at the login page, and no kernel is started.
        with urllib.request.urlopen(base) as answer:
            assert "/login" in answer.url
        assert server.environ["JUPYTER_TOKEN"] not in " ".join(server.command)
        page.goto(server.url)
        page.wait_for_selector("text=watching >> visible=true")
        page.wait_for_function(f"() => ({NEWEST})() > 1")
        assert page.locator("text=dashboard = widgets").count() == 0, "no code on the page"


@pytest.mark.notebook
@pytest.mark.timeout(400)
def test_observe_runs_headless_and_sums_up(tmp_path: Path) -> None:
    done = run("observe", "-p", "SECONDS=6", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert summary == json.loads(done.stdout)
    assert summary["badge"] == "scripted"
    assert summary["samples"] >= 4
    assert summary["max"]["rates.gen_tps"] > 0
    assert summary["requests"] > 0
    gone = [title for title, why in summary["without"].items() if "no GPU here" in why]
    assert len(gone) in (0, 2), "either both panels of the GPU have one, or both say why not"
    executed, page = tmp_path / "3_observe.ipynb", tmp_path / "3_observe.html"
    assert executed.stat().st_size < 1_000_000
    assert "widget-view" not in executed.read_text("utf-8")
    assert "Plotly.newPlot" in page.read_text("utf-8")
    loaded = re.findall(
        r'<(?:script|link|img)\b[^>]*(?:src|href)="([^"]+)"', page.read_text("utf-8")
    )
    assert [one for one in loaded if not one.startswith("data:")] == [], "needs no network"


@pytest.mark.notebook
@pytest.mark.timeout(400)
def test_deploy_looks_starts_and_sums_up(tmp_path: Path) -> None:
    done = run("deploy", "-p", "STOP_AT_END=false", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["recipe"], summary["state"]) == ("scripted", "ready")
    assert "command line" in summary["changes"]
    assert summary["dry_run"] is True


def test_an_unknown_notebook_and_a_wrong_value_are_named_with_what_there_is() -> None:
    def said(*arguments: str) -> str:
        done = run(*arguments)
        assert done.returncode == 2, done.stderr
        return done.stderr

    assert "the notebooks are: 1_quickstart" in said("nothing")
    assert "its parameters are: RECIPE" in said("observe", "-p", "SECNDS=1")
    assert "a number" in said("observe", "-p", "SECONDS=long")
