"""``python -m autosre_lab.provision FOLDER FILE…``: make an environment and fill it from locks.

What a clone's Makefile runs before anything is installed, so it imports the standard library and
this package only. ``-e`` at the end puts the clone itself in.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from autosre_lab.errors import AutosreError
from autosre_lab.progress import step
from autosre_lab.provision.engine_environment import split_lock
from autosre_lab.provision.installing import (
    InstallerFailed,
    check_disk,
    installer_environment,
    run_installer,
)
from autosre_lab.provision.python_environment import Filler, make_environment
from autosre_lab.provision.uv import work_folder

__all__ = ["main"]

_BYTES_A_PACKAGE = 8e6
"""About what one package of the locks takes, unpacked; measured over `locks/all.txt`."""


def main(argv: Sequence[str]) -> int:
    """Fill an environment; returns the exit code."""
    folder, *files = [Path(one).absolute() for one in argv if one != "-e"]
    try:
        _fill(folder, files, clone=Path.cwd() if "-e" in argv else None)
    except AutosreError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the next try goes on from here\n")
        return 130
    return 0


def _fill(folder: Path, files: Sequence[Path], *, clone: Path | None) -> None:
    what = f"Install {folder.name}"
    try:
        with step(f"{what}: environment") as bar:
            uv = make_environment(folder, bar)
        for file in files:
            count = sum(map(len, split_lock(file.read_text("utf-8"))))
            check_disk(folder, count * _BYTES_A_PACKAGE, f"{what} ({count} packages)")
            with step(f"{what}: {count} packages of {file.name}", total=100, unit="%") as bar:
                Filler(folder, uv, bar, count).install(file, locked_set=True, hashes=True)
        if clone is not None:
            with step(f"{what}: this clone") as bar:
                run_installer(
                    _editable(folder, uv, clone), bar, environ=installer_environment(), cwd=clone
                )
    except InstallerFailed as error:
        raise error.as_error(what) from error
    import shutil

    shutil.rmtree(work_folder(folder), ignore_errors=True)


def _editable(folder: Path, uv: Path | None, clone: Path) -> list[str]:
    python = str(folder / "bin" / "python")
    front = [python, "-m", "pip"] if uv is None else [str(uv), "pip"]
    where = [] if uv is None else ["--python", python]
    words = ["--no-deps", "--no-build-isolation", "--editable", str(clone)]
    return [*front, "install", "--quiet", *where, *words]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
