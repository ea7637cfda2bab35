"""A process is told apart from the next one with its pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autosre_lab.processes.identity import (
    ProcessIdentity,
    end_session,
    identify,
    is_alive,
    session_members,
)
from tests.support.waiting import until

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_a_process_is_itself_until_it_ends() -> None:
    with subprocess.Popen(SLEEP) as process:
        found = identify(process.pid)
        assert found is not None
        assert is_alive(found)
        process.kill()
        until(lambda: not is_alive(found), "the end")  # a zombie by now: nobody has waited
        assert process.wait() == -signal.SIGKILL
    assert identify(process.pid) is None


def test_the_same_pid_with_another_birth_is_another_process() -> None:
    mine = identify(os.getpid())
    assert mine is not None
    boot, ticks = mine.born.rsplit(":", 1)
    assert not is_alive(ProcessIdentity(mine.pid, f"{boot}:{int(ticks) - 1}"))
    assert not is_alive(ProcessIdentity(mine.pid, f"another-boot:{ticks}"))


def test_a_name_with_brackets_and_spaces_is_read_right() -> None:
    rename = "import ctypes, time; ctypes.CDLL(None).prctl(15, b') R 1 (x'); print(1, flush=True)"
    command = [sys.executable, "-c", f"{rename}; time.sleep(600)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = identify(process.pid)
        assert found is not None
        assert int(found.born.rsplit(":", 1)[1]) > 0
        assert is_alive(found)
        process.kill()


def test_a_session_is_found_and_ended_after_its_leader() -> None:
    family = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(600)']); print(child.pid, flush=True); child.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", family], stdout=subprocess.PIPE, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        child = int(leader.stdout.readline())
        found = identify(leader.pid)
        assert found is not None
        assert sorted(session_members(found)) == sorted([leader.pid, child])
        leader.kill()
        leader.wait()
        assert session_members(found) == [child]
        end_session(found, grace_s=0.2)
        assert not session_members(found)


def test_shared_memory_of_a_session_that_is_killed_is_freed() -> None:
    # As vLLM's engine core: it does not hear SIGTERM, and what it shares would stay in /dev/shm.
    script = (
        "import os, signal, time; from multiprocessing.shared_memory import SharedMemory\n"
        "memory = SharedMemory(create=True, size=64); print(memory.name, flush=True)\n"
        "if os.fork() == 0: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        shared = Path("/dev/shm") / leader.stdout.readline().decode().strip()
        assert shared.exists()
        found = identify(leader.pid)
        assert found is not None
        until(lambda: len(session_members(found)) == 3, "the child and the tracker")
        leader.kill()
        leader.wait()
        end_session(found, grace_s=0.2)
        assert not shared.exists()


@pytest.mark.parametrize("born", ["another-boot:1", "1"])
def test_a_session_of_another_boot_is_nobodys(born: str) -> None:
    assert session_members(ProcessIdentity(os.getsid(0), born)) == []
