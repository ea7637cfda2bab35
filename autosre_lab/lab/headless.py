"""Notebooks without anybody looking: run by papermill, read as data."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autosre_lab.errors import ConfigError, MissingExtraError

__all__ = ["is_headless", "run_notebook", "save_summary"]

SUMMARY = "summary.json"


def is_headless(environ: Mapping[str, str] | None = None) -> bool:
    """Whether no person watches this notebook: a figure has to be static then.

    True under papermill (`run_notebook` says so to the kernel), in CI, and where
    ``AUTOSRE_HEADLESS`` is set.
    """
    env = os.environ if environ is None else environ
    return any(env.get(name) for name in ("AUTOSRE_HEADLESS", "PAPERMILL_OUTPUT_PATH", "CI"))


def run_notebook(
    path: str | Path,
    output: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    timeout_s: float = 1800.0,
) -> dict[str, Any]:
    """Execute a notebook from top to bottom and keep what it showed.

    Widget state is left out of the output: it repeats plotly's five megabytes per figure.

    Args:
        path: The notebook.
        output: Where the executed one is written, also when a cell fails.
        parameters: Values for its parameters cell, by name; ``RUN_DIR`` is the output's folder
            where not given.
        timeout_s: Seconds that one cell may take.

    Returns:
        What its last cell wrote to ``RUN_DIR/summary.json``; empty if it wrote nothing.

    Raises:
        MissingExtraError: papermill is not installed.
        ConfigError: The notebook has no such parameter.
    """
    try:
        import nbformat
        import papermill
    except ImportError as error:
        raise MissingExtraError("running a notebook", extra="notebooks") from error
    target = Path(output)
    target.parent.mkdir(parents=True, exist_ok=True)
    given = {"RUN_DIR": str(target.parent), **(parameters or {})}
    known = papermill.inspect_notebook(str(path))
    if unknown := sorted(set(given) - set(known)):
        raise ConfigError(
            f"{path} has no parameter {', '.join(unknown)}",
            remedy=f"its parameters are: {', '.join(known)}",
        )
    before = os.environ.get("AUTOSRE_HEADLESS")
    os.environ["AUTOSRE_HEADLESS"] = "1"  # the kernel inherits it
    try:
        papermill.execute_notebook(
            str(path),
            str(target),
            parameters=given,
            execution_timeout=timeout_s,
            progress_bar=False,
        )
    finally:
        if before is None:
            del os.environ["AUTOSRE_HEADLESS"]
        if target.exists():
            notebook = nbformat.read(target, as_version=4)
            notebook.metadata.pop("widgets", None)
            nbformat.write(notebook, target)
    summary = Path(given["RUN_DIR"]) / SUMMARY
    content: dict[str, Any] = json.loads(summary.read_text("utf-8")) if summary.exists() else {}
    return content


def save_summary(run_dir: str | Path, facts: Mapping[str, Any]) -> Path:
    """Write a run's facts where `run_notebook` and CI look for them.

    Args:
        run_dir: The run's folder; made if it is not there.
        facts: JSON-able values by name.

    Returns:
        The file.
    """
    folder = Path(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / SUMMARY
    file.write_text(json.dumps(dict(facts), indent=2) + "\n", encoding="utf-8")
    return file
