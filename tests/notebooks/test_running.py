"""Notebooks without anybody looking, tried on small ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import papermill
import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.notebooks import run_dir, run_notebook, save_summary
from autosre_lab.settings import paths

PARAMETERS = 'RUN_DIR: str = ""  # where to\nNUMBER: int = 1  # which one'
SAVE = (
    "from autosre_lab import notebooks\n"
    "notebooks.save_summary(notebooks.run_dir('small', RUN_DIR), {'n': NUMBER})"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def notebook(folder: Path, *cells: str) -> Path:
    parameters = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    written = nbformat.v4.new_notebook(
        cells=[parameters, *(nbformat.v4.new_code_cell(cell) for cell in cells)],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    path = folder / "small.ipynb"
    nbformat.write(written, path)
    return path


def test_a_run_goes_where_it_is_told_to_and_else_into_the_state_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_dir("small") == run_dir("4_small") == paths().state / "runs" / "small"
    monkeypatch.setenv("AUTOSRE_RUN_DIR", str(folder / "by-variable"))
    assert run_dir("small") == folder / "by-variable"
    assert run_dir("small", str(folder / "asked")) == folder / "asked"
    assert (folder / "asked").is_dir()


def test_a_summary_is_json_in_a_folder_that_is_made(folder: Path) -> None:
    file = save_summary(folder / "a" / "b", {"answer": "Paris"})
    assert json.loads(file.read_text(encoding="utf-8")) == {"answer": "Paris"}


def test_an_unknown_parameter_is_named_with_those_there_are(folder: Path) -> None:
    with pytest.raises(ConfigError, match="NUMBR") as caught:
        run_notebook(notebook(folder), folder / "out.ipynb", {"NUMBR": 2})
    assert caught.value.remedy == "its parameters are: RUN_DIR, NUMBER"


def test_a_notebook_that_is_not_there_is_an_error_with_its_path(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.ipynb"):
        run_notebook(folder / "none.ipynb", folder / "out.ipynb")


@pytest.mark.notebook
def test_parameters_go_in_the_summary_comes_out_and_widget_state_is_left_out(folder: Path) -> None:
    widget = "import ipywidgets\nipywidgets.Dropdown(options=['a'])"
    path = notebook(folder, widget, "import os\nos.environ['AUTOSRE_HEADLESS']", SAVE)
    before = os.environ.get("AUTOSRE_HEADLESS")
    out = folder / "run" / "out.ipynb"
    assert run_notebook(path, out, {"NUMBER": 7}) == {"n": 7}
    assert os.environ.get("AUTOSRE_HEADLESS") == before
    assert (out.parent / "summary.json").exists()
    ran = nbformat.read(out, as_version=4)
    assert "widgets" not in ran.metadata
    assert "Dropdown" in str(ran.cells[2].outputs)
    assert "'1'" in str(ran.cells[3].outputs)


@pytest.mark.notebook
def test_a_cell_that_fails_leaves_its_output_and_no_earlier_summary(folder: Path) -> None:
    out = folder / "run" / "out.ipynb"
    save_summary(out.parent, {"n": "an earlier run's"})
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        run_notebook(notebook(folder, "print('so far')", "1 / 0", SAVE), out)
    assert "so far" in out.read_text(encoding="utf-8")
    assert not (out.parent / "summary.json").exists()
