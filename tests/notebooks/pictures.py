"""``python -m tests.notebooks.pictures``: the pictures of notebooks 1 to 3, made again.

They are of the stack that runs, or of the embedded one, which is then started: a real JupyterLab in
a real Chromium, each notebook run from top to bottom.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import autosre_lab
from autosre_lab.notebooks import find_notebook, notebooks_folder
from tests.notebooks.jupyter import jupyter_lab, lab_page, open_notebook, run_all, switch_to_dark

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

MOST_BYTES = 200_000
_MOST_HEIGHT = 985.0
_LOAD_MS = 25_000


def _quickstart(page: Page, save: Callable[[Locator, str], None]) -> None:
    page.wait_for_selector(".js-plotly-plot >> visible=true", timeout=180_000)
    page.wait_for_timeout(1000)
    save(page.locator(".js-plotly-plot").first, "quickstart")


def _deploy(page: Page, save: Callable[[Locator, str], None]) -> None:
    page.wait_for_selector("summary:has-text('Preflight') >> visible=true")
    page.click("button:has-text('Compare'):visible")
    page.wait_for_selector("summary:has-text('Drift:') >> visible=true", timeout=60_000)
    save(page.locator(".widget-vbox.autosre").first, "deploy")


def _observe(page: Page, save: Callable[[Locator, str], None]) -> None:
    page.wait_for_selector("text=watching >> visible=true", timeout=60_000)
    page.click("button:has-text('Small load'):visible")
    page.wait_for_timeout(_LOAD_MS)
    panel = page.locator(".widget-vbox.autosre").first
    save(panel, "observe")
    switch_to_dark(page)
    page.wait_for_timeout(1500)
    save(panel, "observe-dark")
    page.click("button:has-text('Stop'):visible")


def main() -> None:
    """Make the pictures that are named, or all."""
    makers = {"quickstart": _quickstart, "deploy": _deploy, "observe": _observe}
    wanted = sys.argv[1:] or list(makers)
    images = notebooks_folder() / "images"
    autosre_lab.start(autosre_lab.status().recipe_name)

    def save(what: Locator, name: str) -> None:
        file = images / f"{name}.png"
        box = what.bounding_box()
        assert box is not None
        # The top: what is below, logs and paths, is of this machine.
        clip = box | {"height": min(box["height"], _MOST_HEIGHT)}
        what.page.screenshot(path=file, clip=clip)
        size = file.stat().st_size
        print(f"{file}: {size} bytes")
        assert size < MOST_BYTES

    for name in wanted:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            notebook = find_notebook(name)
            shutil.copy(notebook, folder)
            with jupyter_lab(folder, folder / "jupyter") as url, lab_page(height=2400) as page:
                open_notebook(page, url, notebook.name)
                run_all(page)
                makers[name](page, save)


if __name__ == "__main__":
    main()
