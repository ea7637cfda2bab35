"""The notebooks as files, and the quickstart as a person's first hour: run for real."""

from __future__ import annotations

import json
from pathlib import Path

import jupytext
import nbformat
import pytest

from autosre_lab.engine import Stack
from autosre_lab.errors import ConfigError
from autosre_lab.lab import is_headless, run_notebook, save_summary

FOLDER = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_what_its_source_says_and_nothing_more(source: Path) -> None:
    written = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    meant = jupytext.read(source)
    assert [(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in written.cells] == [
        (cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in meant.cells
    ], "run `make notebooks`"
    code = [cell for cell in written.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert "widgets" not in written.metadata
    assert written.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_has_one_parameters_cell_and_defines_no_logic(source: Path) -> None:
    notebook = jupytext.read(source)
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", ())]
    assert tags.count("parameters") == 1
    assert not any(
        line.startswith(("def ", "class ")) for cell in notebook.cells for line in cell.source
    )


def test_headless_is_told_by_the_environment() -> None:
    assert is_headless({"PAPERMILL_OUTPUT_PATH": "x"})
    assert is_headless({"CI": "true"})
    assert not is_headless({})


def test_a_summary_is_json_in_a_folder_that_is_made(tmp_path: Path) -> None:
    file = save_summary(tmp_path / "a" / "b", {"answer": "Paris"})
    assert json.loads(file.read_text(encoding="utf-8")) == {"answer": "Paris"}


@pytest.mark.notebook
def test_an_unknown_parameter_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="QUESTIN") as caught:
        run_notebook(FOLDER / "quickstart.ipynb", tmp_path / "out.ipynb", {"QUESTIN": "x"})
    assert "QUESTION" in caught.value.remedy


@pytest.mark.notebook
@pytest.mark.engine
@pytest.mark.claude
@pytest.mark.timeout(900)
def test_the_quickstart_answers_from_the_real_stack(real_stack: Stack, tmp_path: Path) -> None:
    out = tmp_path / "run" / "quickstart.ipynb"
    summary = run_notebook(FOLDER / "quickstart.ipynb", out)
    assert "Paris" in summary["answer"]
    assert summary["recipe"] == real_stack.recipe_name
    assert summary["output_tokens"] > 0
    seconds = summary["seconds"]
    assert list(seconds) == ["Claude Code", "proxy", "prefill", "decode"]
    assert all(value >= 0 for value in seconds.values())
    assert sum(seconds.values()) == pytest.approx(summary["duration_s"], rel=0.01)
    assert out.stat().st_size < 300_000
    shown = out.read_text(encoding="utf-8")
    assert "application/vnd.plotly.v1+json" in shown
    assert real_stack.token not in shown
