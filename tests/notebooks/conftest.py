"""One scripted stack, one JupyterLab and one Chromium for all notebooks that are driven."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autosre_lab.notebooks import notebooks_folder
from autosre_lab.stack import Stack
from tests.notebooks.jupyter import chromium, end_kernels, jupyter_lab, new_page
from tests.notebooks.scripted_stack import scripted_environ, scripted_stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

RECORDED = Path(__file__).parents[2] / "binder" / "recorded" / "requests.jsonl"


@pytest.fixture(scope="package")
def scripted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the scripted stack has its folders."""
    return tmp_path_factory.mktemp("scripted")


@pytest.fixture(scope="package")
def stack(scripted_folder: Path) -> Iterator[Stack]:
    """The scripted stack, running."""
    with scripted_stack(scripted_folder) as started:
        yield started


@pytest.fixture(scope="package")
def state_folder(scripted_folder: Path) -> Path:
    """The state folder that the notebooks' kernels write to."""
    return scripted_folder / "state"


@pytest.fixture(scope="package")
def lab_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where JupyterLab keeps its settings."""
    return tmp_path_factory.mktemp("jupyter")


@pytest.fixture(scope="package")
def lab_url(
    stack: Stack,
    scripted_folder: Path,
    lab_config: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A JupyterLab of all notebooks, whose kernels find the stack and the recorded session."""
    folder = tmp_path_factory.mktemp("lab")
    for source in sorted(notebooks_folder().glob("*.ipynb")):
        # The quickstart starts a recipe of its own choice; here it is the one that runs.
        text = source.read_text("utf-8").replace("smollm2-135m-cpu", "scripted")
        (folder / source.name).write_text(text, "utf-8")
    environ = scripted_environ(scripted_folder) | {"AUTOSRE_RECORDED_LOG": str(RECORDED)}
    with jupyter_lab(folder, lab_config, environ=environ) as url:
        yield url


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    with chromium() as started:
        yield started


@pytest.fixture
def lab(lab_url: str, lab_config: Path, browser: Browser) -> Iterator[tuple[Page, str]]:
    """A fresh page in the light theme, and the URL of JupyterLab; its kernels end with it."""
    for chosen in lab_config.glob("settings/@jupyterlab/apputils-extension/themes.*"):
        chosen.unlink()
    with new_page(browser) as page:
        yield page, lab_url
    end_kernels(lab_url)
