"""Supervised services, with a small stand-in in vLLM's place."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autosre_lab.local.service import Service, ServiceRecord
from autosre_lab.processes.files import read_json
from autosre_lab.processes.identity import ProcessIdentity, identify, is_alive
from autosre_lab.processes.rotating_file import RotatingFile, tail_lines
from tests.support.waiting import until

STAND_IN = Path(__file__).with_name("stand_in.py")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    one = Service("engine", tmp_path)
    yield one
    one.stop(timeout_s=5)


def run(service: Service, mode: str, *, grace_s: float = 5.0) -> None:
    environ = {**os.environ, "SECRET": "s3cret"}
    service.start([sys.executable, str(STAND_IN), "0", mode], environ=environ, grace_s=grace_s)


def record(service: Service) -> ServiceRecord:
    found = service.record()
    assert found is not None
    return found


def supervisor(service: Service) -> ProcessIdentity:
    noted = read_json(service.record_path)
    assert noted is not None
    return ProcessIdentity(*noted["supervisor"])


def serving(service: Service) -> bool:
    return record(service).running and "serving" in "\n".join(service.tail())


def test_a_service_runs_under_a_record_that_only_its_owner_reads(service: Service) -> None:
    run(service, "serve")
    until(lambda: serving(service), "the start")
    assert stat.S_IMODE(service.record_path.stat().st_mode) == 0o600
    noted = service.record_path.read_text(encoding="utf-8")
    assert "s3cret" not in noted
    pid = record(service).pid
    assert "s3cret" not in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


def test_stop_ends_it_and_forgets_it(service: Service) -> None:
    run(service, "serve")
    until(lambda: serving(service), "the start")
    pid = record(service).pid
    service.stop(timeout_s=5)
    assert service.record() is None
    assert pid is not None
    assert identify(pid) is None


def test_stop_kills_what_does_not_listen(service: Service) -> None:
    run(service, "stubborn", grace_s=0.3)
    until(lambda: serving(service), "the start")
    pid = record(service).pid
    service.stop(timeout_s=10)
    assert pid is not None
    assert identify(pid) is None


def test_a_service_that_never_worked_is_not_started_again(service: Service) -> None:
    run(service, "fail")
    until(lambda: not record(service).supervised, "the end")
    found = record(service)
    assert (found.running, found.exit_code, found.restarts) == (False, 3, 0)
    assert any("Address already in use" in line for line in service.tail())


def test_a_service_that_has_worked_is_started_again(service: Service) -> None:
    run(service, "serve")
    until(lambda: serving(service), "the start")
    service.mark_ready()
    first = record(service).pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: record(service).restarts == 1 and record(service).running, "the restart")
    assert record(service).pid != first


def test_it_is_started_again_three_times_at_the_most(service: Service) -> None:
    service.ready_path.parent.mkdir(exist_ok=True)
    run(service, "fail")
    service.mark_ready()
    until(lambda: not record(service).supervised, "the last end")
    assert record(service).restarts <= 3


def test_nothing_survives_a_killed_supervisor(service: Service) -> None:
    run(service, "serve")
    until(lambda: serving(service), "the start")
    pid = record(service).pid
    os.kill(supervisor(service).pid, signal.SIGKILL)
    assert pid is not None
    until(lambda: identify(pid) is None, "the service's end")
    assert not record(service).supervised


def test_children_of_a_killed_service_are_ended(service: Service) -> None:
    run(service, "family")
    until(lambda: serving(service), "the start")
    line = next(line for line in service.tail() if line.startswith("child "))
    child = identify(int(line.split()[1]))
    pid = record(service).pid
    assert child is not None
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(child), "the child's end")


def test_a_pid_that_belongs_to_another_process_now_is_left_alone(service: Service) -> None:
    run(service, "serve")
    until(lambda: serving(service), "the start")
    pid = record(service).pid
    assert pid is not None
    other = identify(os.getpid())
    assert other is not None
    forged = ProcessIdentity(other.pid, other.born + "0")
    assert not is_alive(forged)
    text = service.record_path.read_text(encoding="utf-8")
    service.stop(timeout_s=5)
    # The record of a boot before this one, whose pid is ours now.
    service.record_path.write_text(text.replace(f"{pid},", f"{os.getpid()},"), encoding="utf-8")
    assert not record(service).running
    service.stop(timeout_s=1)
    assert is_alive(other)


def test_a_supervisor_that_has_noted_nothing_yet_is_waited_for_and_ended(
    service: Service, tmp_path: Path
) -> None:
    # As left by a caller who was killed right after it had started the supervisor.
    run(service, "serve")
    until(lambda: serving(service), "the start")
    pid, one = record(service).pid, supervisor(service)
    hidden = tmp_path / "hidden"
    service.record_path.rename(hidden)
    late = threading.Timer(0.5, lambda: hidden.rename(service.record_path))
    late.start()
    service.stop(timeout_s=5)
    late.join()
    assert pid is not None
    assert identify(pid) is None
    assert not is_alive(one)


def test_an_end_is_explained_by_the_last_run_only(service: Service) -> None:
    run(service, "fail")
    until(lambda: not record(service).supervised, "the end")
    assert service.diagnosis().cause == "its port is taken"
    service.stop(timeout_s=5)
    run(service, "serve")
    until(lambda: serving(service), "the start")
    pid = record(service).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not record(service).supervised, "the end")
    assert record(service).exit_code == -signal.SIGKILL
    assert "killed" in service.diagnosis().cause
    assert not any("Address already in use" in line for line in service.tail())


def test_a_command_that_does_not_exist_is_told(service: Service) -> None:
    service.start(["/nowhere/vllm", "serve"], environ=dict(os.environ), grace_s=1)
    until(lambda: record(service).exit_code is not None, "the end")
    assert record(service).exit_code == 127
    assert "environment is incomplete" in service.diagnosis().cause


def test_a_supervisor_sleeps_while_nothing_happens(service: Service) -> None:
    run(service, "serve")
    until(lambda: serving(service), "the start")
    process = psutil.Process(supervisor(service).pid)
    before = process.num_ctx_switches().voluntary
    time.sleep(1.0)  # the absence of work has no condition to wait for
    assert process.num_ctx_switches().voluntary - before <= 3


def test_a_service_whose_state_folder_was_deleted_ends(tmp_path: Path) -> None:
    state = tmp_path / "state"
    options = {"--record": state / "engine.json", "--ready": state / "engine.ready"}
    options |= {"--log": state / "engine.log", "--check": Path("0.2")}
    command = [sys.executable, "-m", "autosre_lab.local.supervisor"]
    command += [str(part) for option in options.items() for part in option]
    with subprocess.Popen([*command, "--", "sleep", "99"]) as process:
        until(lambda: (read_json(state / "engine.json") or {}).get("child"), "the start")
        noted = read_json(state / "engine.json")
        assert noted is not None
        child = ProcessIdentity(*noted["child"])
        until(lambda: process.poll() is None and is_alive(child), "a service that goes on")
        shutil.rmtree(state)
        until(lambda: not is_alive(child), "the service's end")
    assert not state.exists()


def test_a_full_disk_takes_the_log_and_not_the_service() -> None:
    file = RotatingFile(Path("/dev/full"), max_bytes=10**9, keep=1)
    file.write(b"lost")
    file.close()


def test_the_log_is_turned_over(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    file = RotatingFile(log, max_bytes=100, keep=2)
    for number in range(40):
        file.write(f"line {number:03d}\n".encode())
    file.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert all(one.stat().st_size <= 100 for one in tmp_path.iterdir())
    assert tail_lines(log, 2) == ["line 038", "line 039"]
    assert tail_lines(tmp_path / "none", 5) == []
