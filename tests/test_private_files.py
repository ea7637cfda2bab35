"""Files for one user only, whatever the umask, and what the operating system refuses, in words."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from autosre_lab.errors import FileError
from autosre_lab.private_files import explain_os_error, open_private, private_folder
from autosre_lab.processes.files import is_locked, locked, write_private_json
from autosre_lab.processes.rotating_file import RotatingFile
from autosre_lab.proxy.request_log import RequestLog, RequestRecord


@pytest.fixture(autouse=True, params=[0o000, 0o022, 0o077])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_and_those_above_it_are_closed(tmp_path: Path) -> None:
    private_folder(tmp_path / "a" / "b")
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o700, 0o700)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    private_folder(tmp_path / "open")
    assert mode(tmp_path / "open") == 0o700


def test_logs_locks_and_notes_are_for_their_owner(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        assert is_locked(tmp_path / "lock")
    write_private_json(tmp_path / "note", {"token": "t"})
    log = RotatingFile(tmp_path / "log", max_bytes=10, keep=1)
    log.write(b"0123456789")
    log.write(b"x")
    log.close()
    requests = RequestLog(tmp_path / "requests", max_bytes=10)
    for _ in range(2):
        requests.add(RequestRecord(time="t", request_id="r"))
    requests.close()
    names = ["lock", "log", "log.1", "note", "requests.1"]
    assert {name: mode(tmp_path / name) for name in names} == dict.fromkeys(names, 0o600)


def test_a_file_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("old\n", encoding="utf-8")
    file.chmod(0o666)
    os.close(open_private(file, os.O_WRONLY | os.O_APPEND))
    assert mode(file) == 0o600
    assert file.read_text(encoding="utf-8") == "old\n"


def test_links_and_pipes_are_refused_and_nothing_is_written_through_them(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("precious", encoding="utf-8")
    (tmp_path / "link").symlink_to(theirs)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "dangling", "pipe"):
        path = tmp_path / name
        with pytest.raises(FileError) as refused, locked(path):
            pass
        assert "remove" in refused.value.remedy
        with pytest.raises(FileError):
            RotatingFile(path, max_bytes=10, keep=1)
    assert theirs.read_text(encoding="utf-8") == "precious"
    assert not (tmp_path / "nothing").exists()


def test_a_note_replaces_a_link_and_leaves_what_it_led_to(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("precious", encoding="utf-8")
    (tmp_path / "note").symlink_to(theirs)
    write_private_json(tmp_path / "note", {"a": 1})
    assert theirs.read_text(encoding="utf-8") == "precious"
    assert not (tmp_path / "note").is_symlink()


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_refusal_has_a_remedy(number: int) -> None:
    error = OSError(number, os.strerror(number), "/some/where/file")
    told = explain_os_error(error)
    assert isinstance(told, OSError)
    assert told.remedy
    assert "{" not in told.remedy
    assert "Errno" not in told.message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: (folder / "f").write_text("x"), "a file stands where a folder should be"),
        (lambda folder: (folder / "f").symlink_to("f"), "link"),
    ],
)
def test_what_stands_in_the_way_is_told(tmp_path: Path, make: object, message: str) -> None:
    assert callable(make)
    make(tmp_path)
    with pytest.raises(FileError, match=message):
        write_private_json(tmp_path / "f" / "g" / "note", {})
    with pytest.raises(FileError, match=message):
        private_folder(tmp_path / "f" / "g")


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="too long") as told:
        private_folder(tmp_path / ("n" * 300))
    assert "shorter" in told.value.remedy
    assert len(str(told.value)) < 1200


def test_what_a_killed_writer_has_left_is_taken_away(tmp_path: Path) -> None:
    alive = tmp_path / f"note.{os.getppid()}.partial"
    alive.write_text("{", encoding="utf-8")
    for name in ("note.4194304.partial", "note.x.partial"):
        (tmp_path / name).write_text("{", encoding="utf-8")
    write_private_json(tmp_path / "note", {})
    assert sorted(one.name for one in tmp_path.iterdir()) == ["note", alive.name]
