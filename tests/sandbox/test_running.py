"""What a model wrote cannot do here."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.errors import SandboxError
from autosre_lab.sandbox import Outcome, SandboxLimits, isolation, run_sandboxed, running
from autosre_lab.sandbox.backends import Isolation, command_line
from tests.sandbox.attacks import ATTACKS, PRELUDE
from tests.sandbox.prey import laid_out


def python(code: str, *, seconds: float = 10.0, folder: Path | None = None) -> Outcome:
    return run_sandboxed(
        [sys.executable, "-I", "-c", code], limits=SandboxLimits(seconds=seconds), folder=folder
    )


def test_a_program_runs_and_says_how_it_was_isolated() -> None:
    found = python("print('hi')")
    assert (found.passed, found.output, found.isolation) == (True, "hi\n", "bubblewrap")


def test_a_failure_is_no_pass() -> None:
    assert not python("assert 1 == 2").passed
    assert python("raise SystemExit(3)").exit_code == 3


def test_there_is_no_network_not_even_this_machines() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        found = python(f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)")
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert not found.passed
    assert "refused" in found.output


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
    assert "No such file or directory" in found.output
    assert (own / "mine").read_text() == "x"
    assert list(other.iterdir()) == []
    assert [one.name for one in own.iterdir()] == ["mine"]


def test_nothing_of_our_environment_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSRE_PROXY_TOKEN", "s3cret")
    assert "s3cret" not in python("import os; print(dict(os.environ))").output


def test_it_sees_no_other_process() -> None:
    seen = python("import os; print([p for p in os.listdir('/proc') if p.isdigit()])")
    assert seen.output == "['1', '2']\n"


def test_without_isolation_nothing_is_run_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "isolation", lambda: "none")
    with pytest.raises(SandboxError, match="--allow-unsafe"):
        python("print('hi')")
    command = [sys.executable, "-c", "print('hi')"]
    found = run_sandboxed(command, allow_unsafe=True)
    assert (found.output, found.isolation) == ("hi\n", "none")


def test_children_end_with_their_program_even_without_isolation(tmp_path: Path) -> None:
    mark = "autosre-unsafe-child-mark"
    code = (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60) # {mark}'],"
        " start_new_session=True)"
    )
    running._run([sys.executable, "-c", code], tmp_path, SandboxLimits(), "none")
    assert not [one for one in Path("/proc").glob("[0-9]*") if mark in command(one)]


BAD = '_mount("/nowhere", "/new/x", flags=_REMOUNT'

BROKEN = {
    "a mount that fails": ('"/dev/shm"', '"/dev/null/shm"'),
    "a namespace that is refused": ("kinds |= (", "kinds |= 1 | ("),
    "a root that stays writable": ('_mount(None, "/", flags=_REMOUNT', BAD),
    "rights that stay": ("os.setresuid(uid, uid, uid)", "pass"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_step_that_fails_is_an_error_and_nothing_runs(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a sandbox with a hole: each step of the building is broken once."""
    right, wrong = BROKEN[what]

    def broken(*arguments: Any, **options: Any) -> list[str]:
        words = command_line(*arguments, **options)
        at = words.index("-c") + 1
        assert right in words[at]
        words[at] = words[at].replace(right, wrong)
        return words

    monkeypatch.setattr(running, "command_line", broken)
    with pytest.raises(SandboxError, match="could not be made"):
        running._run(["touch", "ran"], tmp_path, SandboxLimits(), "namespaces")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("why", "expected"), [({"bubblewrap": "x"}, "namespaces"), ({}, "bubblewrap")]
)
def test_the_next_backend_is_taken_where_one_does_not_work(
    why: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "why_not", lambda how: why.get(how, ""))
    assert isolation.__wrapped__() == expected


def test_a_refusal_names_what_each_backend_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "why_not", lambda how: f"no {how} here")
    monkeypatch.setattr(running, "isolation", isolation.__wrapped__)
    with pytest.raises(SandboxError, match="no bubblewrap here; namespaces: no namespaces here"):
        python("print('hi')")


@pytest.mark.parametrize("how", ["bubblewrap", "namespaces"])
def test_a_program_that_is_not_there_was_not_started(how: Isolation, tmp_path: Path) -> None:
    found = running._run(["no-such-program"], tmp_path, SandboxLimits(), how)
    assert (found.started, found.passed, found.exit_code) == (False, False, 127)


@pytest.mark.parametrize("how", ["bubblewrap", "namespaces"])
def test_what_is_named_can_be_read_and_not_written(how: Isolation, tmp_path: Path) -> None:
    own, tools = tmp_path / "own", tmp_path / "a tool's folder"
    own.mkdir()
    tools.mkdir()
    (tools / "data").write_text("hello")
    (tools / "data").chmod(0o666)
    code = f"import sys; p = {str(tools / 'data')!r}; print(open(p).read()); open(p, 'a')"
    command = [sys.executable, "-c", code]
    found = running._run(command, own, SandboxLimits(), how, readable=[tools])
    assert "hello\n" in found.output
    assert "Read-only" in found.output


@pytest.mark.parametrize("how", ["bubblewrap", "namespaces"])
def test_what_programs_need_is_there(how: Isolation, tmp_path: Path) -> None:
    """A terminal of one's own, a loopback server, temporary files, locks between processes."""
    code = (
        "import asyncio, multiprocessing, os, pty, socket, ssl, sqlite3, tempfile, pwd, zoneinfo\n"
        "os.close(pty.openpty()[0])\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "tempfile.NamedTemporaryFile().write(b'x')\n"
        "multiprocessing.Lock().acquire()\n"
        "asyncio.run(asyncio.sleep(0))\n"
        "sqlite3.connect('db').execute('create table t (a)')\n"
        "os.urandom(3); open('/dev/null', 'w').write('x')\n"
        "print(sum(1 for _ in os.listdir('/etc/ssl/certs')) > 0, end='')\n"
    )
    found = running._run([sys.executable, "-c", code], tmp_path, SandboxLimits(), how)
    assert (found.output, found.exit_code) == ("True", 0)


def test_it_reads_what_it_is_given(tmp_path: Path) -> None:
    code = "import sys; print(len(sys.stdin.read()))"
    found = run_sandboxed([sys.executable, "-c", code], stdin=b"x" * 300_000)
    assert found.output == "300000\n"


def test_an_exit_by_a_signal_is_told_as_a_shell_tells_it() -> None:
    assert python("import os; os.kill(os.getpid(), 11)").exit_code == 128 + 11


REACHABLE = (
    "write to the user's file",
    "read the user's file",
    "see other processes",
    "see the machine's /tmp, /run and /var",
    "shared memory of the machine",
    "keys of the user's session",
    "a server of this machine",
    "a Unix socket",
    "an abstract Unix socket",
    "the network's devices",
    "a user namespace by clone",
)


@pytest.mark.parametrize("name", REACHABLE)
def test_the_attacks_are_real(name: str, tmp_path: Path) -> None:
    """Without isolation the harmless ones of them succeed."""
    prey, own = tmp_path / "prey", tmp_path / "own"
    prey.mkdir()
    own.mkdir()
    with laid_out(prey) as found:
        program = f"{PRELUDE}\nprey = {found.told!r}\n{ATTACKS[name]}"
        outcome = running._run([sys.executable, "-c", program], own, SandboxLimits(), "none")
    assert "GOT" in outcome.output, outcome.output


def test_output_is_kept_from_its_end() -> None:
    found = python("print('x' * 100_000); print('end')")
    assert found.output.endswith("end\n")
    assert len(found.output) <= 20_000


def test_this_machine_can_isolate() -> None:
    assert isolation() == "bubblewrap"
