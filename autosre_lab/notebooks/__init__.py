"""The shipped notebooks, and running them with nobody looking.

From a shell: ``python -m autosre_lab.notebooks run quickstart -p QUESTION="Why?" --out runs/1``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.notebooks.page import write_page
    from autosre_lab.notebooks.parameters import notebook_parameters, parse_parameters
    from autosre_lab.notebooks.running import run_dir, run_notebook, save_summary
    from autosre_lab.notebooks.shipped import find_notebook, notebook_names, notebooks_folder

_HOME = {
    "find_notebook": "shipped",
    "notebook_names": "shipped",
    "notebook_parameters": "parameters",
    "notebooks_folder": "shipped",
    "parse_parameters": "parameters",
    "run_dir": "running",
    "run_notebook": "running",
    "save_summary": "running",
    "write_page": "page",
}

__all__ = [
    "find_notebook",
    "notebook_names",
    "notebook_parameters",
    "notebooks_folder",
    "parse_parameters",
    "run_dir",
    "run_notebook",
    "save_summary",
    "write_page",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
