"""How an optional part is installed into the Python that lacks it."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["how_to_install"]

CLONE = Path(__file__).resolve().parents[1]


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra into this very Python.

    This package is on no index, and its name there may one day be somebody else's: so what the
    extra consists of is named instead.
    """
    import importlib.util
    import shlex
    from importlib import metadata

    if (CLONE / "Makefile").exists() and sys.prefix == str(CLONE / ".venv"):
        return f"make -C {shlex.quote(str(CLONE))} .venv/.all"
    try:
        lines = metadata.requires("autosre-lab") or []
    except metadata.PackageNotFoundError:
        lines = []
    marked = [line.partition(";") for line in lines]
    names = [name.strip() for name, _, mark in marked if f'"{extra}"' in mark.replace("'", '"')]
    wanted = shlex.join(names) if names else f"-e {shlex.quote(f'{CLONE}[{extra}]')}"
    python = shlex.quote(sys.executable)
    if importlib.util.find_spec("pip") is None:  # an environment that uv made
        return f"uv pip install --python {python} {wanted}"
    return f"{python} -m pip install {wanted}"
