"""Where the notebooks are that come with this project: at its top level, or inside the wheel."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from autosre_lab.errors import ConfigError

__all__ = ["find_notebook", "notebook_names", "notebooks_folder"]


def notebooks_folder() -> Path:
    """Return the folder of the shipped notebooks."""
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / "_notebooks"
    return in_wheel if in_wheel.is_dir() else package.parent / "notebooks"


def notebook_names() -> list[str]:
    """Return the shipped notebooks' names in the order they are meant to be read in."""
    return [file.stem for file in _files()]


def find_notebook(name: str | os.PathLike[str]) -> Path:
    """Return a notebook's file.

    Args:
        name: A shipped one's, with or without its number (``3_observe``, ``observe``); or a path.

    Raises:
        ConfigError: There is no such notebook.
    """
    text = os.fspath(name)
    if text.endswith(".ipynb") or os.sep in text:
        path = Path(text).expanduser()
        if path.is_file():
            return path
        raise ConfigError(f"there is no notebook {path}", remedy="give the path of an .ipynb file")
    for file in _files():
        if text in (file.stem, file.stem.partition("_")[2]):
            return file
    short = [file.stem.partition("_")[2] for file in _files()]
    near = difflib.get_close_matches(text, [*short, *notebook_names()], n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise ConfigError(
        f"there is no notebook named {text!r}",
        remedy=f"{meant}the notebooks are: {', '.join(notebook_names())}",
    )


def _files() -> list[Path]:
    return sorted(notebooks_folder().glob("[0-9]*_*.ipynb"))
