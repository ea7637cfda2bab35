"""The shipped notebooks, and running them headless.

From a shell: ``autosre notebook run quickstart -p QUESTION="Why?" --out runs/1``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.notebooks.page import write_page
    from autosre_lab.notebooks.parameters import notebook_parameters, parse_parameters
    from autosre_lab.notebooks.running import run_dir, run_notebook, save_summary
    from autosre_lab.notebooks.serving import PageServer, page_server
    from autosre_lab.notebooks.shipped import find_notebook, notebook_names, notebooks_folder
else:
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = [
    "PageServer",
    "find_notebook",
    "notebook_names",
    "notebook_parameters",
    "notebooks_folder",
    "page_server",
    "parse_parameters",
    "run_dir",
    "run_notebook",
    "save_summary",
    "write_page",
]
