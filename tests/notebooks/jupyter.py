"""A real JupyterLab in a real Chromium, moved as a person would."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = [
    "chromium",
    "end_kernels",
    "free_port",
    "jupyter_lab",
    "lab_page",
    "new_page",
    "open_notebook",
    "run_all",
    "save_and_reload",
    "served",
    "summary",
    "switch_to_dark",
    "until_dark",
    "until_figures_fill",
]

SERVER_WAIT_S = 120.0
PAGE_WAIT_S = 90.0
"""Generous: they end as soon as what is waited for is there."""
_CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def somebody_looks(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what makes a run headless."""
    return {
        name: value for name, value in environ.items() if name not in ("CI", "AUTOSRE_HEADLESS")
    }


@contextlib.contextmanager
def served(command: list[str], url: str, *, environ: Mapping[str, str]) -> Iterator[str]:
    """Run a server until the block ends; yields its URL once it answers."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, env=dict(environ), stdout=said, stderr=said, start_new_session=True
        )
        yield from _until_answered(process, url, said)


def _until_answered(process: subprocess.Popen[bytes], url: str, said: IO[bytes]) -> Iterator[str]:
    try:
        deadline = time.monotonic() + SERVER_WAIT_S
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    break
            except OSError:
                late = time.monotonic() > deadline
                if late or process.poll() is not None:
                    said.seek(0)
                    raise AssertionError(f"nothing at {url}: {said.read().decode()}") from None
                time.sleep(0.1)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@contextlib.contextmanager
def jupyter_lab(
    folder: Path, config: Path, *, environ: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Serve a folder in JupyterLab; yields the URL with its token.

    Args:
        folder: What is served.
        config: A folder for its own settings, so that a person's are not touched.
        environ: Variables for its kernels, beside this process's.
    """
    port, token = free_port(), secrets.token_hex(16)
    news = config / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True, exist_ok=True)
    (news / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8"
    )
    variables = somebody_looks(os.environ | dict(environ or {})) | {
        "JUPYTER_CONFIG_DIR": str(config / "config"),
        "JUPYTER_DATA_DIR": str(config / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(config / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(config / "workspaces"),
        "JUPYTER_TOKEN": token,
    }
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--port-retries=0"),
        f"--notebook-dir={folder}",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    url = f"http://127.0.0.1:{port}"
    with served(command, f"{url}/api", environ=variables):
        yield f"{url}/lab?token={token}"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a fresh Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def new_page(browser: Browser, *, width: int = 1440, height: int = 1100) -> Iterator[Page]:
    """Yield a page with storage of its own."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PAGE_WAIT_S * 1000)
    try:
        yield page
    finally:
        page.close()


@contextlib.contextmanager
def lab_page(*, width: int = 1440, height: int = 1100) -> Iterator[Page]:
    """Yield a page of a fresh Chromium."""
    with chromium() as browser, new_page(browser, width=width, height=height) as page:
        yield page


def end_kernels(url: str) -> None:
    """End all kernels of a JupyterLab, given its URL with the token."""
    base, _, token = url.partition("/lab?token=")
    headers = {"Authorization": f"token {token}"}

    def ask(path: str, method: str) -> bytes:
        request = urllib.request.Request(f"{base}/api/{path}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=SERVER_WAIT_S) as answer:
            content: bytes = answer.read()
            return content

    for session in json.loads(ask("sessions", "GET")):
        ask(f"sessions/{session['id']}", "DELETE")


def open_notebook(page: Page, url: str, name: str) -> None:
    """Open a notebook of the served folder and wait for its kernel."""
    base, _, token = url.partition("?token=")
    page.goto(f"{base}/tree/{name}?token={token}&reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_selector(".jp-StatusBar-TextItem:has-text('| Idle')")


def run_all(page: Page) -> None:
    """Choose Run > Run All Cells, as a person does."""
    page.click("text=Run >> visible=true")
    page.click("li[data-command='runmenu:run-all']")


def switch_to_dark(page: Page) -> None:
    """Choose Settings > Theme > JupyterLab Dark."""
    page.click("text=Settings >> visible=true")
    page.hover(".lm-Menu-item:has-text('Theme')")
    page.click(".lm-Menu-item:has-text('JupyterLab Dark') >> visible=true")


def until_dark(page: Page) -> None:
    """Wait until the first figure has the dark look."""
    page.wait_for_function(
        "() => document.querySelector('.js-plotly-plot')._fullLayout.paper_bgcolor === '#111111'"
    )


def until_figures_fill(page: Page) -> None:
    """Wait until every figure is as wide as its panel lets it be."""
    page.wait_for_function(
        """() => {
          const plots = [...document.querySelectorAll('.autosre .js-plotly-plot')];
          return plots.length > 0 && plots.every(plot => plot.clientWidth > 800
            && Math.abs(plot.clientWidth - plot._fullLayout.width) <= 1);
        }"""
    )


FIGURES = """const found = () => JSON.stringify(
  [...document.querySelectorAll('.autosre .js-plotly-plot')]
    .filter(plot => plot._fullData && plot._fullData.length)
    .map(plot => [plot.layout.title && plot.layout.title.text,
                  plot._fullData.map(trace => [trace.type, trace.x ? trace.x.length : 0])]))"""
"""What all figures show: title, kind of trace, points."""


def save_and_reload(page: Page) -> None:
    """Save the notebook, load the page again, and find each figure as it was."""
    before = figures(page)
    assert before
    page.keyboard.press("Control+s")
    page.wait_for_selector(".jp-StatusBar-TextItem:has-text('Saving completed')", state="attached")
    page.reload()
    page.wait_for_selector(".jp-StatusBar-TextItem:has-text('| Idle')")
    page.wait_for_function(f"before => {{ {FIGURES}; return found() === before; }}", arg=before)
    until_figures_fill(page)


def figures(page: Page) -> str:
    """Return the titles, the traces and the points of all figures that show something."""
    shown: str = page.evaluate(f"() => {{ {FIGURES}; return found(); }}")
    return "" if shown == "[]" else shown


def summary(page: Page, state: Path, name: str) -> dict[str, Any]:
    """Return what the notebook's last cell wrote, once it has said so; no cell has failed."""
    page.wait_for_selector("text=Written: ", state="attached", timeout=240_000)
    failed = page.locator("[data-mime-type='application/vnd.jupyter.error']")
    assert failed.count() == 0, failed.all_inner_texts()
    found: dict[str, Any] = json.loads((state / "runs" / name / "summary.json").read_text("utf-8"))
    return found
