"""Notebooks without anybody looking: run by papermill, read as data."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PosixPath
from typing import Any

from autosre_lab.errors import ConfigError, MissingExtraError
from autosre_lab.notebooks.shipped import find_notebook
from autosre_lab.private_files import write_whole
from autosre_lab.settings import home_folder, paths

__all__ = ["SummaryFile", "run_dir", "run_notebook", "save_summary"]

SUMMARY = "summary.json"
_NUMBER = re.compile(r"^\d+_")


def run_dir(name: str, asked: str = "") -> Path:
    """Return the folder that a notebook's run writes to, made if it is not there.

    Args:
        name: The notebook's, with its number or without: both are one folder.
        asked: Its parameter ``RUN_DIR``; where empty, the variable ``AUTOSRE_RUN_DIR``, and else
            a folder of that name in the state folder.
    """
    chosen = asked or os.environ.get("AUTOSRE_RUN_DIR")
    own = paths().state / "runs" / _NUMBER.sub("", name)
    folder = Path(chosen).expanduser().resolve() if chosen else own
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_notebook(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    timeout_s: float = 1800.0,
) -> dict[str, Any]:
    """Execute a notebook from top to bottom and keep what it showed.

    Widget state is left out of the output: plotly's alone has five megabytes per figure.

    Args:
        path: The notebook: a shipped one's name, or a path.
        output: Where the executed one is written, also when a cell fails.
        parameters: Values for its parameters cell, by name; ``RUN_DIR`` is the output's folder
            where not given.
        timeout_s: Seconds that one cell may take.

    Returns:
        What its last cell wrote to ``RUN_DIR/summary.json``; empty if it wrote nothing.

    Raises:
        MissingExtraError: papermill is not installed.
        ConfigError: There is no such notebook, it has no such parameter, or this user has no home
            folder, where a kernel keeps what it needs.
        papermill.PapermillExecutionError: A cell failed; it names the cell and shows the trace.
    """
    try:
        import nbformat
        import papermill
    except ImportError as error:
        raise MissingExtraError("running a notebook", extra="notebooks") from error
    source = find_notebook(path)
    home_folder()
    target = Path(output).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    given = {"RUN_DIR": str(target.parent), **(parameters or {})}
    summary = Path(given["RUN_DIR"]) / SUMMARY
    summary.unlink(missing_ok=True)  # an earlier run's is no answer
    known = papermill.inspect_notebook(str(source))
    if unknown := sorted(set(given) - set(known)):
        raise ConfigError(
            f"{source} has no parameter {', '.join(unknown)}",
            remedy=f"its parameters are: {', '.join(known)}",
        )
    try:
        with _headless():
            papermill.execute_notebook(
                str(source),
                str(target),
                parameters=given,
                execution_timeout=timeout_s,
                progress_bar=False,
            )
    finally:
        if target.exists():
            notebook = nbformat.read(target, as_version=4)
            notebook.metadata.pop("widgets", None)
            nbformat.write(notebook, target)
    content: dict[str, Any] = json.loads(summary.read_text("utf-8")) if summary.exists() else {}
    return content


@contextmanager
def _headless() -> Iterator[None]:
    """Tell the kernel, which inherits it, that nobody looks; a notebook may run another one."""
    before = os.environ.get("AUTOSRE_HEADLESS")
    os.environ["AUTOSRE_HEADLESS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["AUTOSRE_HEADLESS"]
        else:
            os.environ["AUTOSRE_HEADLESS"] = before


class SummaryFile(PosixPath):
    """The file of a run's facts, which a notebook shows as a sentence."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - as IPython calls it
        printer.text(f"Written: {self}")


def save_summary(run_dir: str | Path, facts: Mapping[str, Any]) -> SummaryFile:
    """Write a run's facts where `run_notebook` and CI look for them.

    Args:
        run_dir: The run's folder; made if it is not there.
        facts: JSON-able values by name.

    Returns:
        The file.
    """
    text = json.dumps(dict(facts), indent=2) + "\n"
    return SummaryFile(write_whole(Path(run_dir) / SUMMARY, text))
