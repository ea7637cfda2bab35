"""The notebooks as files, and the quickstart as a person's first hour: run for real."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jupytext
import nbformat
import papermill
import pytest

from autosre_lab.notebooks import run_notebook
from autosre_lab.stack import Stack
from tests.notebooks.scripted_stack import scripted_environ, scripted_stack

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
def test_a_notebook_has_one_cell_of_explained_parameters(source: Path) -> None:
    cells = jupytext.read(source).cells
    (cell,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    found = papermill.inspect_notebook(str(source.with_suffix(".ipynb")))
    assert set(found) >= {"RUN_DIR"}
    assert len(found) == len(cell.source.splitlines())
    for name, parameter in found.items():
        assert name.isupper()
        assert parameter["inferred_type_name"] in {"str", "int", "float", "bool"}
        assert parameter["help"], name


STOPPING = [path for path in SOURCES if "STOP_AT_END" in path.read_text("utf-8")]


@pytest.mark.parametrize("source", STOPPING, ids=lambda path: path.stem)
def test_a_notebook_stops_no_stack_that_it_did_not_start(source: Path) -> None:
    """Each stop stands under the answer to what ran before the first start."""
    text = source.read_text("utf-8")
    lines = text.splitlines()
    stops = [at for at, line in enumerate(lines) if ".stop()" in line]
    assert stops
    for at in stops:
        assert "STOP_AT_END and not was_running" in lines[at - 1]
    assert text.index("was_running = ") < text.index(".start(")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_a_notebook_names_is_there(source: Path) -> None:
    named = set(re.findall(r"notebooks/[\w.]+", source.read_text("utf-8")))
    assert [one for one in named if not (FOLDER.parent / one).exists()] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_imports_its_logic_and_defines_none(source: Path) -> None:
    cells = [cell for cell in jupytext.read(source).cells if cell.cell_type == "code"]
    defined = [
        node.name
        for cell in cells
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    assert defined == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_says_first_what_it_is_for_what_it_needs_and_how_long_it_takes(
    source: Path,
) -> None:
    first = jupytext.read(source).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert "**Needs**" in first.source
    assert "**Takes**" in first.source


@pytest.mark.notebook
@pytest.mark.engine
@pytest.mark.claude
@pytest.mark.timeout(900)
def test_the_quickstart_answers_from_the_real_stack(real_stack: Stack, tmp_path: Path) -> None:
    out = tmp_path / "run" / "quickstart.ipynb"
    # The stack is shared with other tests; that `stop` stops is theirs.
    summary = run_notebook("quickstart", out, {"STOP_AT_END": False})
    assert "Paris" in summary["answer"]
    assert not summary["is_error"]
    assert summary["recipe"] == real_stack.recipe_name
    assert summary["output_tokens"] > 0
    seconds = summary["seconds"]
    assert list(seconds) == ["start-up", "proxy", "prefill", "decode", "tools", "end"]
    assert min(seconds["start-up"], seconds["prefill"], seconds["decode"]) > 0
    assert sum(seconds.values()) == pytest.approx(summary["wall_s"], abs=0.01)
    assert out.stat().st_size < 100_000
    shown = out.read_text(encoding="utf-8")
    assert "application/vnd.plotly.v1+json" in shown
    assert real_stack.token not in shown


@pytest.mark.notebook
@pytest.mark.codex
@pytest.mark.timeout(600)
def test_the_quickstart_asks_codex_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the scripted engine: what is another agent's does not depend on the model."""
    with scripted_stack(tmp_path / "stack"):
        for name, value in scripted_environ(tmp_path / "stack").items():
            monkeypatch.setenv(name, value)
        out = tmp_path / "run" / "quickstart.ipynb"
        more = {"AGENT": "codex", "RECIPE": "scripted", "STOP_AT_END": False}
        summary = run_notebook("quickstart", out, more)
    assert (summary["agent"], summary["is_error"]) == ("codex", False)
    assert summary["answer"]
    seconds = summary["seconds"]
    assert min(seconds["start-up"], seconds["decode"]) > 0
    assert sum(seconds.values()) == pytest.approx(summary["wall_s"], abs=0.01)


@pytest.mark.notebook
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_deploy_and_observe_run_on_the_real_stack(real_stack: Stack, tmp_path: Path) -> None:
    out = tmp_path / "deploy" / "2_deploy.ipynb"
    deployed = run_notebook("deploy", out, {"STOP_AT_END": False})
    assert (deployed["state"], deployed["serves"]) == ("ready", real_stack.recipe_name)
    assert deployed["drift"]["rows"] == []
    assert deployed["changes"] == {"command line": "no change"}
    assert out.stat().st_size < 1_000_000

    out = tmp_path / "observe" / "3_observe.ipynb"
    observed = run_notebook("observe", out, {"SECONDS": 8.0})
    assert observed["badge"] == "cpu-engine"
    assert observed["max"]["rates.gen_tps"] > 0
    assert observed["max"]["engine.kv_usage"] > 0
    assert observed["requests"] > 0
    assert out.stat().st_size < 1_000_000
    assert real_stack.token not in out.read_text(encoding="utf-8")
