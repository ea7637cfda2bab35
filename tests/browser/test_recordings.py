"""Old recordings are deleted, and nothing else is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from autosre_lab.browser.recordings import (
    list_recordings,
    mark_finished,
    mark_running,
    prune_recordings,
)
from autosre_lab.errors import ConfigError

HOUR_S = 3600


def film(path: Path, *, age_h: float, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - age_h * HOUR_S
    os.utime(path, (then, then))
    return path


def test_what_is_old_goes_and_its_empty_folder_with_it(tmp_path: Path) -> None:
    old = film(tmp_path / "a" / "1.webm", age_h=25, size=100)
    young = film(tmp_path / "b" / "2.webm", age_h=1)
    text = film(tmp_path / "b" / "notes.txt", age_h=99)
    assert [one.path for one in list_recordings(tmp_path)] == [old, young]
    only_said = prune_recordings(tmp_path, ttl_h=24, dry_run=True)
    assert (only_said.paths, only_said.size_bytes, only_said.kept) == ((old,), 100, 1)
    assert old.exists()
    assert prune_recordings(tmp_path, ttl_h=24).paths == (old,)
    assert not old.parent.exists()
    assert young.exists()
    assert text.exists()


def test_links_are_followed_neither_to_files_nor_to_folders(tmp_path: Path) -> None:
    outside = film(tmp_path / "outside" / "1.webm", age_h=99)
    inside = tmp_path / "films"
    inside.mkdir()
    (inside / "file.webm").symlink_to(outside)
    (inside / "folder").symlink_to(outside.parent)
    assert list_recordings(inside) == []
    assert prune_recordings(inside, ttl_h=0).paths == ()
    link = tmp_path / "link"
    link.symlink_to(outside.parent)
    assert list_recordings(link) == []
    assert outside.exists()


def test_what_a_living_process_records_is_kept_until_it_says_it_is_done(tmp_path: Path) -> None:
    old = film(tmp_path / "s" / "1.webm", age_h=99)
    mark_running(old.parent)
    assert prune_recordings(tmp_path, ttl_h=0).paths == ()
    mark_finished(old.parent)
    assert prune_recordings(tmp_path, ttl_h=0).paths == (old,)


def test_a_mark_of_a_process_that_was_killed_protects_nothing(tmp_path: Path) -> None:
    old = film(tmp_path / "s" / "1.webm", age_h=99)
    (old.parent / ".recording").write_text("1 another-boot:17")
    assert prune_recordings(tmp_path, ttl_h=0).paths == (old,)
    assert not old.parent.exists()


def test_a_folder_that_is_not_there_has_no_recordings_and_an_age_must_be_one(
    tmp_path: Path,
) -> None:
    assert list_recordings(tmp_path / "none") == []
    for age in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError):
            prune_recordings(tmp_path, ttl_h=age)
