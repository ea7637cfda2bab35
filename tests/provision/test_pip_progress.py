"""What pip is at."""

from __future__ import annotations

from pathlib import Path

from autosre_lab.provision.pip_progress import PipProgress, forget_half_installed, installed_count
from tests.support.programs import Bar

# pip 26.3 with --progress-bar raw; the folder and the mirror are made up.
LINES = """\
Collecting torch==2.13.0+cpu (from -r requirements.txt (line 3))
Downloading https://example.org/torch-2.13.0%2Bcpu-cp311-cp311-linux_x86_64.whl.metadata (29 kB)
Processing /somewhere/numpy-2.2.6-cp311-cp311-manylinux_2_17_x86_64.whl
Requirement already satisfied: idna==3.10 in ./lib/python3.11/site-packages (from -r r.txt)
Using cached attrs-26.1.0-py3-none-any.whl (67 kB)
Downloading https://example.org/torch-2.13.0%2Bcpu-cp311-cp311-linux_x86_64.whl (191.8 MB)
Progress 0 of 191794682
Progress 95897341 of 191794682
Progress 191794682 of 191794682
Installing collected packages: numpy, attrs, torch
"""


def test_the_share_grows_with_every_package_and_within_a_large_one() -> None:
    bar = Bar()
    progress = PipProgress(4)
    for line in LINES.splitlines():
        progress.read(line, bar)
    assert bar.shares == sorted(bar.shares)
    assert bar.shares[-2:] == [60 * 3.5 / 4, 60.0]
    assert "torch 96 of 192 MB" in bar.notes
    progress.unpacked(2, bar)
    assert bar.shares[-1] == 80.0
    progress.unpacked(4, bar)
    assert bar.shares[-1] == 100.0


def test_packages_that_nobody_counted_before_are_counted_by_pip() -> None:
    bar = Bar()
    progress = PipProgress(None)
    for line in LINES.splitlines():
        progress.read(line, bar)
    assert bar.shares == []
    progress.unpacked(1, bar)
    assert bar.shares == [60 + 40 / 3]


def test_unpacking_is_not_shown_before_it_has_begun() -> None:
    bar = Bar()
    PipProgress(3).unpacked(2, bar)
    assert (bar.shares, bar.notes) == ([], [])


def test_a_package_that_was_being_unpacked_is_forgotten(tmp_path: Path) -> None:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("whole-1.dist-info", "half-1.dist-info"):
        (site / name / "licenses").mkdir(parents=True)
        (site / name / "METADATA").touch()
    (site / "whole-1.dist-info" / "RECORD").touch()
    assert installed_count(tmp_path) == 1
    forget_half_installed(tmp_path)
    assert [one.name for one in site.iterdir()] == ["whole-1.dist-info"]
