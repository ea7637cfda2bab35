"""What pip is at, from what it prints with ``--progress-bar raw``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from autosre_lab.progress import Step

__all__ = ["PipProgress", "forget_half_installed", "installed_count"]

_BYTES = re.compile(r"Progress (\d+) of (\d+)")
# A wheel's metadata may be fetched by itself before (".whl.metadata"); that is not the wheel.
_FILE = re.compile(
    r"(?:Downloading|Using cached|Processing) \S*?([^/\s]+)\.(?:whl|tar\.gz)(?:\s|$)"
)
_FETCHED_SHARE = 60.0
"""Of a hundred; fetching takes longer than unpacking on most connections."""


class PipProgress:
    """Turns pip's lines into a share of a hundred.

    Args:
        packages: How many there are in all; None where pip has to find out.
    """

    def __init__(self, packages: int | None) -> None:
        self._packages = packages
        self._begun = 0
        self._name = ""
        self._fetched = False

    def read(self, line: str, bar: Step) -> None:
        """Take one line of output."""
        if found := _BYTES.match(line):
            done, total = int(found[1]), int(found[2])
            if total > 1e6:
                bar.note(f"{self._name} {done / 1e6:.0f} of {total / 1e6:.0f} MB")
            self._reach(self._begun - 1 + (done / total if total else 1.0), bar)
        elif found := _FILE.match(line):
            self._begun += 1
            self._name = re.split(r"-\d", found[1])[0].lower()
            bar.note(self._name)
            self._reach(self._begun - 1, bar)
        elif line.startswith("Requirement already satisfied:"):
            self._begun += 1
        elif line.startswith("Installing collected packages:"):
            self._fetched = True
            self._packages = self._packages or line.count(",") + 1

    def unpacked(self, count: int, bar: Step) -> None:
        """Take how many packages are in place."""
        if self._packages and self._fetched:
            bar.note(f"{count} of {self._packages} packages unpacked")
            share = min(count / self._packages, 1.0)
            bar.reach(_FETCHED_SHARE + (100.0 - _FETCHED_SHARE) * share)

    def _reach(self, packages: float, bar: Step) -> None:
        if self._packages:
            bar.reach(_FETCHED_SHARE * min(max(packages, 0.0) / self._packages, 1.0))


def installed_count(folder: Path) -> int:
    """Return how many packages an environment holds; pip writes a package's RECORD last."""
    return sum(1 for _ in folder.glob("lib/python*/site-packages/*.dist-info/RECORD"))


def forget_half_installed(folder: Path) -> None:
    """Make pip install again what it was unpacking when it was killed; it would call that done."""
    for info in folder.glob("lib/python*/site-packages/*.dist-info"):
        if not (info / "RECORD").exists():
            shutil.rmtree(info)
