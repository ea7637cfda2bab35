"""One step, seen by a person at a terminal, by a person at a notebook, and by nobody."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import nbclient
import nbformat
import pytest

from autosre_lab import progress
from autosre_lab.progress import step
from autosre_lab.surroundings import surroundings

COUNTED = """
from autosre_lab.progress import step
with step("Fetch it", total=4_000_000, unit="B") as bar:
    bar.advance(1_000_000)
    bar.note("from here")
    bar.reach(3_000_000)
"""
BROKEN = """
from autosre_lab.progress import step
try:
    with step("Fetch it", total=4) as bar:
        bar.advance()
        raise OSError
except OSError:
    pass
"""


def environ(**added: str) -> dict[str, str]:
    taken = ("AUTOSRE_HEADLESS", "CI", "JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")
    return {**{k: v for k, v in os.environ.items() if k not in taken}, **added}


def on_a_terminal(code: str, *, columns: int = 100, **added: str) -> str:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30 if columns else 0, columns))
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=theirs, stdout=theirs, env=environ(**added)
    ) as process:
        os.close(theirs)
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the terminal's other end is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert process.returncode == 0, shown.decode()
    return shown.decode()


def in_a_kernel(code: str, **added: str) -> nbformat.NotebookNode:
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook: nbformat.NotebookNode = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(code)], metadata={"kernelspec": kernelspec}
    )
    nbclient.NotebookClient(notebook).execute(env=environ(**added))
    return notebook


def test_a_terminal_gets_a_bar_with_amounts_and_an_end() -> None:
    shown = on_a_terminal(COUNTED)
    assert "\r" in shown, "a bar is drawn in place"
    last = shown.rstrip().rpartition("\r")[2]
    assert "Fetch it" in last
    assert "100%" in last
    assert "4.00M/4.00M" in last
    assert "done" in last


def test_a_terminal_that_does_not_know_its_size_gets_one_too() -> None:
    last = on_a_terminal(COUNTED, columns=0).rstrip().rpartition("\r")[2]
    assert "100%" in last
    assert len(last) <= 80


def test_a_bar_of_something_that_failed_stays_where_it_stood() -> None:
    last = on_a_terminal(BROKEN).rstrip().rpartition("\r")[2]
    assert "25%" in last
    assert "failed" in last
    assert "done" not in last


def test_a_bar_on_a_terminal_learns_its_total_on_the_way() -> None:
    code = """
from autosre_lab.progress import step
with step("Fetch it") as bar:
    bar.reach(50, 200)
    bar.reach(100, 200)
"""
    assert "200/200" in on_a_terminal(code).rstrip().rpartition("\r")[2]


def test_a_terminal_that_is_told_to_be_headless_gets_lines() -> None:
    shown = on_a_terminal(COUNTED, AUTOSRE_HEADLESS="1")
    assert "%|" not in shown
    assert shown.splitlines()[0] == "Fetch it: …"


def test_without_anybody_looking_a_step_is_a_line_at_its_start_and_one_at_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with step("Fetch it", total=100) as bar:
        for _ in range(100):
            bar.advance()
    shown = capsys.readouterr()
    assert shown.out == "", "progress is talk, not data"
    first, last = shown.err.splitlines()
    assert first == "Fetch it: …"
    assert re.fullmatch(r"Fetch it: done in \d+\.\d s", last)


def test_lines_tell_share_and_note_and_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "HEADLESS_INTERVAL_S", 0.0)
    with pytest.raises(RuntimeError), step("Fetch it") as bar:
        bar.note("from here")
        bar.reach(1, 4)
        bar.advance()
        raise RuntimeError
    lines = capsys.readouterr().err.splitlines()
    assert lines[:4] == [
        "Fetch it: …",
        "Fetch it: from here 0 s",
        "Fetch it: 25 % from here 0 s",
        "Fetch it: 50 % from here 0 s",
    ]
    assert lines[-1].startswith("Fetch it: failed in ")


def test_a_step_that_says_nothing_still_shows_that_it_lives(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "HEADLESS_INTERVAL_S", 0.0)
    monkeypatch.setattr(progress, "TICK_S", 0.01)
    seen = ""
    deadline = time.monotonic() + 10
    with step("Wait"):
        while seen.count("Wait: 0 s") < 2:
            assert time.monotonic() < deadline, seen
            seen += capsys.readouterr().err
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


@pytest.mark.notebook
def test_a_notebook_gets_a_widget() -> None:
    notebook = in_a_kernel(COUNTED, JPY_SESSION_NAME="quickstart.ipynb")
    shown = [output.get("data", {}) for output in notebook.cells[0].outputs]
    assert any("application/vnd.jupyter.widget-view+json" in data for data in shown)
    models = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    bars = [m["state"] for m in models.values() if m["model_name"] == "FloatProgressModel"]
    assert [(bar["value"], bar["max"], bar["bar_style"]) for bar in bars] == [
        (4_000_000, 4_000_000, "success")
    ]


@pytest.mark.notebook
@pytest.mark.parametrize(("ending", "style"), [("pass", "success"), ("1 / 0", "danger")])
def test_a_widget_of_something_without_a_total_shows_how_it_ended(ending: str, style: str) -> None:
    code = f"""
from contextlib import suppress
from autosre_lab.progress import step
with suppress(ZeroDivisionError), step("Wait") as bar:
    bar.note("for it")
    {ending}
"""
    notebook = in_a_kernel(code, JPY_SESSION_NAME="quickstart.ipynb")
    models = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    (bar,) = [m["state"] for m in models.values() if m["model_name"] == "FloatProgressModel"]
    assert bar["bar_style"] == style
    texts = [m["state"]["value"] for m in models.values() if m["model_name"] == "HTMLModel"]
    assert any("Wait: 00:00, " in text for text in (one.replace("\u2007", " ") for one in texts))


@pytest.mark.notebook
def test_a_widget_learns_its_total_on_the_way() -> None:
    code = """
from autosre_lab.progress import step
try:
    with step("Fetch it") as bar:
        bar.reach(50, 200)
        1 / 0
except ZeroDivisionError:
    pass
"""
    notebook = in_a_kernel(code, JPY_SESSION_NAME="quickstart.ipynb")
    models = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    (bar,) = [m["state"] for m in models.values() if m["model_name"] == "FloatProgressModel"]
    assert (bar["value"], bar["max"], bar["bar_style"]) == (50, 200, "danger")


@pytest.mark.notebook
def test_a_notebook_that_papermill_runs_gets_lines() -> None:
    outputs = in_a_kernel(COUNTED).cells[0].outputs
    assert {output.output_type for output in outputs} == {"stream"}
    text = "".join(output.text for output in outputs)
    assert text.startswith("Fetch it: …\nFetch it: done in ")


def test_continuous_integration_is_headless_wherever_it_runs() -> None:
    assert surroundings({"CI": "true"}) == "headless"
    assert surroundings({"AUTOSRE_HEADLESS": "1"}) == "headless"


def test_the_steps_module_needs_no_tqdm_until_a_bar_is_drawn(tmp_path: Path) -> None:
    code = "import sys, autosre_lab.progress; sys.exit('tqdm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
