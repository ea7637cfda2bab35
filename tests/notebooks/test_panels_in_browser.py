"""The measuring notebooks in a real JupyterLab in a real Chromium: run, press, stop."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autosre_lab.lifecycle import start, stop
from autosre_lab.settings import paths
from tests.notebooks.jupyter import jupyter_lab, lab_page, open_notebook, run_all

if TYPE_CHECKING:
    from playwright.sync_api import Page

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
BINDER = Path(__file__).parents[2] / "binder"

pytestmark = [pytest.mark.browser, pytest.mark.notebook, pytest.mark.timeout(420)]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Page, str]]:
    """A page of JupyterLab whose kernels find the scripted stack and the recorded session."""
    own = paths().config / "recipes"
    own.mkdir(parents=True, exist_ok=True)
    shutil.copy(BINDER / "scripted.yaml", own)
    monkeypatch.setenv("AUTOSRE_RECIPE", "scripted")
    monkeypatch.setenv("AUTOSRE_RECORDED_LOG", str(BINDER / "recorded" / "requests.jsonl"))
    start("scripted")
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    with jupyter_lab(tmp_path / "notebooks", tmp_path / "jupyter") as url, lab_page() as page:
        page.set_default_timeout(90_000)
        yield page, url
    stop()


def run(lab: tuple[Page, str], name: str) -> Page:
    """Open a notebook, choose Run All, and wait for the end of what it began."""
    page, url = lab
    open_notebook(page, url, f"{name}.ipynb")
    run_all(page)
    wait(page, "done")
    return page


def wait(page: Page, state: str) -> None:
    page.wait_for_selector(f".autosre div[role=status]:has-text(': {state}')", state="attached")


def press(page: Page, name: str) -> None:
    """By the keyboard: reach the button, then Enter."""
    button = page.locator(f".autosre button:has-text('{name}')").first
    button.scroll_into_view_if_needed()
    button.focus()
    page.keyboard.press("Enter")


def drawn(page: Page, title: str) -> None:
    """Wait until a figure of that title is drawn, its badge in the title."""
    page.wait_for_selector(f".autosre .gtitle:has-text('{title}')", state="attached")


def keep(page: Page, name: str) -> None:
    """Keep a picture where somebody wants to see it: ``AUTOSRE_PICTURES=DIR``."""
    if folder := os.environ.get("AUTOSRE_PICTURES"):
        page.wait_for_timeout(1500)
        panel = page.locator(".jp-OutputArea:has(.autosre)").first
        panel.screenshot(path=Path(folder) / f"{name}.png")


def test_a_benchmark_is_run_again_stopped_and_compared(lab: tuple[Page, str]) -> None:
    page = run(lab, "4_benchmark")
    drawn(page, "Medians and their 95 % intervals")
    drawn(page, "over")
    assert page.locator(".autosre .autosre-badge:has-text('scripted engine')").count() > 0
    keep(page, "benchmark")
    field = page.locator(".autosre input[placeholder^='NAME']").first
    field.fill("requests: 2, input_tokens: 64, output_tokens: 3000")
    field.press("Tab")
    press(page, "Measure")
    wait(page, "running")
    press(page, "Stop")
    wait(page, "stopped")
    # Other work cannot be compared with this one, and the panel says why.
    field.fill("requests: 3, input_tokens: 64, output_tokens: 8")
    field.press("Tab")
    press(page, "Measure")
    wait(page, "done")
    page.wait_for_function("document.querySelectorAll('.autosre select')[3].options.length == 4")
    choices = page.locator(".autosre select")
    choices.nth(3).select_option(index=1)
    choices.nth(4).select_option(index=3)
    page.wait_for_selector(".autosre [role=alert]:has-text('different work')", state="attached")


def test_an_experiment_is_designed_and_watched(lab: tuple[Page, str]) -> None:
    page = run(lab, "5_tune")
    for title in ("Trials", "Pareto front"):
        drawn(page, title)
    assert page.locator(".autosre summary:has-text('Trials')").count() == 1
    keep(page, "tune")
    press(page, "Promote")
    # What cannot be promoted says why; what can is written.
    page.wait_for_selector(
        ".autosre [role=alert]:has-text('beat the incumbent'), .autosre :text('Written:')",
        state="attached",
    )


def test_an_evaluation_is_repeated_and_compared_in_pairs(lab: tuple[Page, str]) -> None:
    page = run(lab, "6_evaluate")
    drawn(page, "Pass rates")
    page.locator(".autosre label:has-text('L3') input").uncheck()
    page.locator(".autosre label:has-text('L1') input").uncheck()
    for _ in range(2):
        press(page, "Evaluate")
        wait(page, "running")
        wait(page, "done")
    page.wait_for_selector(".autosre summary:has-text('Paired comparison')", state="attached")
    keep(page, "evaluate")


def test_a_sessions_misses_are_named(lab: tuple[Page, str]) -> None:
    page = run(lab, "7_sessions")
    drawn(page, "Prompt tokens by turn")
    assert page.locator(".autosre .autosre-badge:has-text('recorded fixture')").count() > 0
    page.wait_for_selector(".autosre summary:has-text('Recorded and replayed')", state="attached")
    assert page.locator(".autosre button:has-text('Ask')").is_disabled()
    keep(page, "sessions")
