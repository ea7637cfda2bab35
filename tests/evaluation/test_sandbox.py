"""What a model wrote cannot do here."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from autosre_lab.errors import EvaluationError
from autosre_lab.evaluation import sandbox
from autosre_lab.evaluation.sandbox import Limits, Outcome, isolation, run_sandboxed


def python(code: str, *, seconds: float = 10.0, folder: Path | None = None) -> Outcome:
    return run_sandboxed(
        [sys.executable, "-I", "-c", code], limits=Limits(seconds=seconds), folder=folder
    )


def test_a_program_runs_and_says_how_it_was_isolated() -> None:
    found = python("print('hi')")
    assert (found.passed, found.output, found.isolation) == (True, "hi\n", "namespaces")


def test_a_failure_is_no_pass() -> None:
    assert not python("assert 1 == 2").passed
    assert python("raise SystemExit(3)").exit_code == 3


def test_there_is_no_network_not_even_this_machines() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        found = python(f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)")
    assert not found.passed
    assert "unreachable" in found.output


def test_an_endless_loop_is_ended() -> None:
    found = python("while True: pass", seconds=0.5)
    assert found.ended_for == "more than 0.5 s"
    assert found.seconds < 5


def test_memory_is_limited() -> None:
    assert "MemoryError" in python("bytearray(10 << 30)").output


def test_files_are_limited(tmp_path: Path) -> None:
    found = python("f = open('big', 'wb')\nwhile True: f.write(b'x' * (1 << 20))", folder=tmp_path)
    assert "File too large" in found.output
    assert (tmp_path / "big").stat().st_size <= 1 << 24


def test_a_fork_bomb_is_ended_with_all_of_it() -> None:
    found = python("import os\nwhile True: os.fork()")
    assert found.ended_for == "more than 64 processes"


def test_children_end_with_their_program(tmp_path: Path) -> None:
    mark = "autosre-sandbox-child-mark"
    code = (
        "import os, subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60) # {mark}'],"
        " start_new_session=True)\n"
        "print('started')"
    )
    assert python(code, folder=tmp_path).output == "started\n"
    assert not [one for one in Path("/proc").glob("[0-9]*") if mark in command(one)]


def command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def test_only_its_own_folder_can_be_written_to(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    found = python(f"open('mine', 'w').write('x'); open({str(other / 'evil')!r}, 'w')", folder=own)
    assert "Read-only file system" in found.output
    assert (own / "mine").read_text() == "x"
    assert list(other.iterdir()) == []
    assert [one.name for one in own.iterdir()] == ["mine"]


def test_nothing_of_our_environment_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSRE_PROXY_TOKEN", "s3cret")
    assert "s3cret" not in python("import os; print(dict(os.environ))").output


def test_it_sees_no_other_process() -> None:
    seen = python("import os; print([p for p in os.listdir('/proc') if p.isdigit()])")
    assert seen.output == "['1']\n"


def test_without_isolation_nothing_is_run_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "isolation", lambda: "none")
    with pytest.raises(EvaluationError, match="--allow-unsafe"):
        python("print('hi')")
    command = [sys.executable, "-c", "print('hi')"]
    found = run_sandboxed(command, allow_unsafe=True)
    assert (found.output, found.isolation) == ("hi\n", "none")


def test_output_is_kept_from_its_end() -> None:
    found = python("print('x' * 100_000); print('end')")
    assert found.output.endswith("end\n")
    assert len(found.output) <= 20_000


def test_this_machine_can_isolate() -> None:
    assert isolation() == "namespaces"
