"""The measuring notebooks in a real JupyterLab in a real Chromium: run, press, stop, turn dark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.notebooks.jupyter import (
    open_notebook,
    run_all,
    save_and_reload,
    summary,
    switch_to_dark,
    until_dark,
    until_figures_fill,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.notebook, pytest.mark.timeout(900)]


def run(lab: tuple[Page, str], name: str) -> Page:
    """Open a notebook, choose Run All, and wait for the end of what it began."""
    page, url = lab
    open_notebook(page, url, f"{name}.ipynb")
    run_all(page)
    wait(page, "done")
    return page


def settings(page: Page) -> None:
    """Open the form, which is folded away."""
    page.click(".autosre .jupyter-widget-Collapse-header:has-text('Settings')")


def wait(page: Page, state: str) -> None:
    """Wait for a state of the work; tuning starts the engine three times."""
    shown = f".autosre div[role=status]:has-text(': {state}')"
    page.wait_for_selector(shown, state="attached", timeout=240_000)


def press(page: Page, name: str) -> None:
    """By the keyboard: reach the button, then Enter."""
    button = page.locator(f".autosre button:has-text('{name}')").first
    button.scroll_into_view_if_needed()
    button.focus()
    page.keyboard.press("Enter")


def drawn(page: Page, title: str) -> None:
    """Wait until a figure of that title is drawn, its badge in the title."""
    page.wait_for_selector(f".autosre .gtitle:has-text('{title}')", state="attached")


def headings_stand_over_their_columns(page: Page) -> None:
    """Numbers and their headings to the right, words to the left, whatever JupyterLab would do."""
    aligned = page.eval_on_selector_all(
        ".autosre table",
        """tables => tables.map(table => [...table.rows].map(row =>
             [...row.cells].map(cell => getComputedStyle(cell).textAlign).join()))""",
    )
    assert aligned
    for rows in aligned:
        assert len(set(rows)) == 1, "a heading stands as its column does"
    assert {"left", "right"} == set(",".join(rows[0] for rows in aligned).split(","))


def test_a_benchmark_is_run_again_stopped_and_compared(
    lab: tuple[Page, str], state_folder: Path
) -> None:
    page = run(lab, "4_benchmark")
    # The cells below the panel ran after its work, and are of this run.
    told = summary(page, state_folder, "benchmark")
    assert (len(told["results"]), told["requests"], told["failed"]) == (2, 4, 0)
    assert page.locator(".jp-OutputArea-output table:has-text('decode')").count() >= 1
    drawn(page, "Medians and their 95 % intervals")
    drawn(page, "over")
    save_and_reload(page)
    assert page.locator(".autosre .autosre-badge:has-text('scripted engine')").count() > 0
    until_figures_fill(page)
    settings(page)
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
    page.click(".autosre .jupyter-widget-Collapse-header:has-text('Compare two results')")
    choices = page.locator(".autosre select")
    choices.nth(3).select_option(index=1)
    choices.nth(4).select_option(index=3)
    page.wait_for_selector(".autosre [role=alert]:has-text('different work')", state="attached")
    switch_to_dark(page)
    until_dark(page)


def test_an_experiment_is_designed_and_watched(lab: tuple[Page, str], state_folder: Path) -> None:
    page = run(lab, "5_tune")
    assert len(summary(page, state_folder, "tune")["trials"]) == 2
    for title in ("Trials", "Pareto front"):
        drawn(page, title)
    assert page.locator(".autosre summary:has-text('Trials')").count() == 1
    save_and_reload(page)
    press(page, "Promote")
    # What cannot be promoted says why; what can is written.
    page.wait_for_selector(
        ".autosre [role=alert]:has-text('beat the incumbent'), .autosre :text('Written:')",
        state="attached",
    )


def test_an_evaluation_is_repeated_and_compared_in_pairs(
    lab: tuple[Page, str], state_folder: Path
) -> None:
    page = run(lab, "6_evaluate")
    told = summary(page, state_folder, "evaluate")
    assert len(told["evaluations"]) == 1
    assert list(told["levels"]) == ["L0", "L1", "L3"]
    drawn(page, "Pass rates")
    save_and_reload(page)
    settings(page)
    page.locator(".autosre label:has-text('L3') input").uncheck()
    page.locator(".autosre label:has-text('L1') input").uncheck()
    for _ in range(2):
        press(page, "Evaluate")
        wait(page, "running")
        wait(page, "done")
    page.wait_for_selector(".autosre summary:has-text('Paired comparison')", state="attached")


def test_a_sessions_misses_are_named(lab: tuple[Page, str], state_folder: Path) -> None:
    page = run(lab, "7_sessions")
    told = summary(page, state_folder, "sessions")
    assert told["session"]
    assert told["replayed_requests"] == told["turns"] >= 2
    drawn(page, "Prompt tokens by turn")
    assert page.locator(".autosre .autosre-badge:has-text('recorded fixture')").count() > 0
    until_figures_fill(page)
    page.wait_for_selector(".autosre summary:has-text('Recorded and replayed')", state="attached")
    assert page.locator(".autosre button:has-text('Ask')").is_disabled()
    headings_stand_over_their_columns(page)
    save_and_reload(page)
