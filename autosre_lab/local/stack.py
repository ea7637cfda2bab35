"""The local stack: one engine and one proxy as supervised processes of this user.

What runs is described by files in the state folder, so every process of this user, now or after
a restart, sees the same stack; one lock makes starts and stops take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from autosre_lab.engine.diagnosis import PORT_TAKEN
from autosre_lab.errors import (
    AutosreError,
    NotReadyError,
    PortTakenError,
    ServiceCrashedError,
)
from autosre_lab.local.container import container_tool
from autosre_lab.local.launch import PROXY_GRACE_S, clear, ensure_running, replace_engine
from autosre_lab.local.service import Service, ServiceRecord
from autosre_lab.local.stack_files import StackFiles, StackNote, fingerprint
from autosre_lab.local.stack_status import answers, explain_end, is_there, read_status
from autosre_lab.private_files import private_folder
from autosre_lab.processes.files import locked
from autosre_lab.progress import Step, step
from autosre_lab.provision.provisioning import provision
from autosre_lab.settings import load_settings, paths
from autosre_lab.stack import Stack, StackStatus

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["start", "started_recipe", "status", "stop", "switch", "wait_ready"]

PORT_ATTEMPTS = 3
"""Between the choice of a free port and vLLM listening there lie seconds; others are faster."""

LISTEN_POLL_S = 0.1
INTERRUPT_GRACE_S = 10.0
CONFIRM_S = 3.0
"""Seconds that a look at the status may take to find out that the first token comes by now."""

_WAITING = "Wait for another start or stop of the stack"


def start(
    recipe: Recipe,
    *,
    engine_port: int | None = None,
    proxy_port: int | None = None,
    wait: bool = True,
    timeout_s: float | None = None,
) -> Stack:
    """Start engine and proxy; where they run already, do nothing.

    What is missing is installed first: the engine's environment and the model. Where one of the
    two has crashed only that one is started again, on its port and with its token, so that
    sessions of Claude Code go on.

    Args:
        recipe: What to serve.
        engine_port: vLLM's port; the setting by default, where 0 means 8010 or a free one.
        proxy_port: The proxy's port; likewise 8011.
        wait: Return when a token has been generated; else as soon as the processes run.
        timeout_s: Seconds to wait for that; the setting `ready_timeout_s` by default.

    Raises:
        RecipeError: The recipe cannot be run as local processes.
        StackBusyError: Another recipe's stack runs.
        PortTakenError: A port that was asked for is taken.
        ProvisionError: Something could not be installed.
        ServiceCrashedError: A service ended instead of becoming ready.
        NotReadyError: It took too long.
    """
    settings = load_settings()
    asked = (
        settings.engine_port if engine_port is None else engine_port,
        settings.proxy_port if proxy_port is None else proxy_port,
    )
    files = StackFiles(paths().state)
    return _start(recipe, ensure_running, files, asked, wait=wait, timeout_s=timeout_s)


def switch(recipe: Recipe, *, timeout_s: float | None = None) -> Stack:
    """Serve another recipe: the proxy stays, with its port and token.

    What the new recipe needs is installed while the old one serves. If the new one does not come
    up, the old one is started again and the error says so.

    Args:
        recipe: What to serve from now on.
        timeout_s: As for `start`.

    Raises:
        AutosreError: As for `start`, with what became of the recipe before.
    """
    files = StackFiles(paths().state)
    before = started_recipe() if read_status(files).state in ("ready", "starting") else None
    if before is None or before == recipe:
        return start(recipe, timeout_s=timeout_s)
    asked = (load_settings().engine_port, load_settings().proxy_port)
    if container_tool(recipe) is None:
        provision(recipe)  # what cannot be installed replaces nothing
    try:
        return _start(recipe, replace_engine, files, asked, timeout_s=timeout_s)
    except AutosreError as error:
        error.message += _go_back(before, files, asked)
        error.args = (error.message, *error.args[1:])
        raise


def _go_back(before: Recipe, files: StackFiles, asked: tuple[int, int]) -> str:
    """Start the recipe that ran before a switch that failed; returns what to tell about it."""
    note, state = files.read(), read_status(files).state
    if note is not None and note.fingerprint == fingerprint(before) and state == "ready":
        return f"\n  recipe {before.name} was not touched and runs on"
    try:
        _start(before, replace_engine, files, asked)
    except AutosreError as error:
        return f"\n  and going back to {before.name} failed too: {error.message}"
    return f"\n  recipe {before.name}, which ran before, runs again"


def _start(
    recipe: Recipe,
    ensure: Callable[[Recipe, StackFiles, tuple[int, int]], bool],
    files: StackFiles,
    asked: tuple[int, int],
    *,
    wait: bool = True,
    timeout_s: float | None = None,
) -> Stack:
    """Start what ``ensure`` starts, and wait; where a port was lost meanwhile, with another one."""
    private_folder(paths().state)
    was_running = True
    for attempt in range(1, PORT_ATTEMPTS + 1):
        with locked(files.lock, waiting=_WAITING), _taken_back(files):
            was_running = ensure(recipe, files, asked) and was_running
        if not wait:
            break
        try:
            return replace(wait_ready(timeout_s=timeout_s), was_running=was_running)
        except KeyboardInterrupt:
            if ensure is ensure_running and not was_running:
                _end_interrupted(files)
            raise
        except ServiceCrashedError as error:
            try:
                _raise_unless_another_port_helps(files, error, asked, last=attempt == PORT_ATTEMPTS)
            except AutosreError:
                _end_useless_proxy(files, error)
                raise
    note = files.read()
    if note is None:
        raise NotReadyError("the stack was stopped meanwhile", remedy="start it: `autosre start`")
    return replace(_stack(files, note), was_running=was_running)


@contextmanager
def _taken_back(files: StackFiles) -> Iterator[None]:
    """End what an interrupted start has begun, unless something ran before; the lock is held."""
    ran = any(record is not None and record.supervised for record in _records(files))
    try:
        yield
    except KeyboardInterrupt:
        if not ran:
            clear(files, timeout_s=INTERRUPT_GRACE_S)
        raise


def _end_interrupted(files: StackFiles) -> None:
    """End a stack that nobody waits for any more, and that has never served anybody."""
    with locked(files.lock, waiting=_WAITING):
        note = files.read()
        if note is not None and not note.was_ready:
            clear(files, timeout_s=INTERRUPT_GRACE_S)


def _records(files: StackFiles) -> list[ServiceRecord | None]:
    return [service.record() for service in files.services]


def _end_useless_proxy(files: StackFiles, error: ServiceCrashedError) -> None:
    """End the proxy of an engine that never worked: nobody has a session there to be kept."""
    with locked(files.lock, waiting=_WAITING):
        note = files.read()
        if error.service == "engine" and note is not None and not note.was_ready:
            files.proxy.stop(timeout_s=PROXY_GRACE_S)


def started_recipe() -> Recipe | None:
    """Return what was started, as it was then; None where nothing was."""
    note = StackFiles(paths().state).read()
    return None if note is None else note.started_recipe()


def wait_ready(*, timeout_s: float | None = None) -> Stack:
    """Wait until the stack that was started has generated a token, through the proxy too.

    Args:
        timeout_s: Seconds; the setting `ready_timeout_s` by default.

    Raises:
        NotReadyError: Nothing was started, it was stopped meanwhile, or it took too long.
        ServiceCrashedError: A service ended instead.
    """
    from autosre_lab.engine.readiness import Phases

    files = StackFiles(paths().state)
    with locked(files.lock, waiting=_WAITING):
        note = files.read()
    if note is None:
        raise NotReadyError("no stack was started", remedy="start one: `autosre start`")
    if note.ready and read_status(files).state == "ready":
        return _stack(files, note)
    patience_s = load_settings().ready_timeout_s if timeout_s is None else timeout_s

    phases = Phases()

    def phase() -> str:
        _refuse_another(files, note)
        for service in files.services:
            _raise_if_ended(service)
        return phases.reached(files.engine.tail())

    with step(f"Start {note.recipe_name}") as bar:
        return _confirm(files, note, bar, patience_s=patience_s, phase=phase)


def stop(*, timeout_s: float = 60.0) -> StackStatus:
    """End exactly the processes that were started; a stack that does not run is fine.

    Args:
        timeout_s: Seconds each service has to end before it is killed.
    """
    files = StackFiles(paths().state)
    with locked(files.lock, waiting=_WAITING):
        if files.read() is None:
            clear(files, timeout_s=timeout_s)
        else:
            with step("Stop the stack"):
                clear(files, timeout_s=timeout_s)
    return status()


def status() -> StackStatus:
    """Return the stack as it is now; starts nothing, ends nothing, and waits for nobody.

    Where nobody has waited for the first token (``start(wait=False)``, or a start whose caller
    was killed) and the engine answers by now, one token is asked for.
    """
    files = StackFiles(paths().state)
    found = read_status(files)
    note = files.read()
    if (
        found.state != "starting"
        or note is None
        or note.ready
        or files.busy
        or not answers(files, note)
    ):
        return found
    try:
        _confirm(files, note, _Unseen(), patience_s=CONFIRM_S, phase=lambda: "")
    except NotReadyError:
        return found
    return read_status(files)


def _confirm(
    files: StackFiles, note: StackNote, bar: Step, *, patience_s: float, phase: Callable[[], str]
) -> Stack:
    """Have a token generated, by the engine and through the proxy, and note that it came."""
    from autosre_lab.engine.readiness import wait_for_engine, wait_for_proxy

    deadline_s = time.monotonic() + patience_s
    _wait_for_listener(
        files.engine, note.engine_port, note, bar, deadline_s=deadline_s, phase=phase
    )
    served = wait_for_engine(
        note.engine_url,
        bar,
        deadline_s=deadline_s,
        look=phase,
        key=note.engine_key,
        warm_up=note.warms_up,
    )
    bar.note("a first token through the proxy")
    _wait_for_listener(files.proxy, note.proxy_port, note, bar, deadline_s=deadline_s, phase=phase)
    wait_for_proxy(note.proxy_url, note.token, deadline_s=deadline_s, look=phase)
    ready = replace(
        note, ready=True, was_ready=True, model=served.id, max_model_len=served.max_model_len
    )
    with locked(files.lock):
        _refuse_another(files, note)
        for service in files.services:
            service.mark_ready()
        files.write(ready)
    return _stack(files, ready)


def _wait_for_listener(
    service: Service,
    port: int,
    note: StackNote,
    bar: Step,
    *,
    deadline_s: float,
    phase: Callable[[], str],
) -> None:
    """Wait until the service has its port: a token of another engine there would prove nothing."""
    while not is_there(service, port, note):
        bar.note(phase())
        if time.monotonic() > deadline_s:
            raise NotReadyError(
                f"the {service.name} does not listen on port {port} yet",
                remedy="give it more time (AUTOSRE_READY_TIMEOUT_S), or see "
                f"{service.log_path} for what it waits for",
            )
        time.sleep(LISTEN_POLL_S)


def _refuse_another(files: StackFiles, note: StackNote) -> None:
    """Make sure that the stack is still the one that was waited for; the token tells."""
    current = files.read()
    if current is None or current.stopping or current.token != note.token:
        raise NotReadyError("the stack was stopped meanwhile", remedy="start it: `autosre start`")


def _raise_if_ended(service: Service) -> None:
    record = service.record()
    if record is not None and record.supervised:
        if record.paused:
            found = explain_end(service)
            raise NotReadyError(
                f"the {service.name} does not answer: {found.cause}", remedy=found.remedy
            )
        return
    code = record.exit_code if record is not None else None
    found = explain_end(service)
    raise ServiceCrashedError(
        f"the {service.name} ended (exit code {code}); likely cause: {found.cause}",
        remedy=f"{found.remedy} (whole log: {service.log_path})",
        service=service.name,
        exit_code=code,
        log_tail=service.last_words(),
        cause=found.cause,
    )


def _raise_unless_another_port_helps(
    files: StackFiles, error: ServiceCrashedError, asked: tuple[int, int], *, last: bool
) -> None:
    service, port = next(
        (service, port)
        for service, port in zip(files.services, asked, strict=True)
        if service.name == error.service
    )
    found = explain_end(service)
    if found.cause != PORT_TAKEN:
        raise error
    if port:
        raise PortTakenError(
            f"port {port} was taken before the {service.name} listened there", remedy=found.remedy
        ) from error
    if last:
        raise error


class _Unseen:
    """A step that nobody watches."""

    def advance(self, amount: float = 1) -> None:
        """Show nothing."""

    def reach(self, done: float, total: float | None = None) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


def _stack(files: StackFiles, note: StackNote) -> Stack:
    return Stack(
        recipe_name=note.recipe_name,
        engine_url=note.engine_url,
        proxy_url=note.proxy_url,
        token=note.token,
        model=note.model,
        max_model_len=note.max_model_len,
        log_dir=files.logs,
        request_log=files.request_log,
        engine_key=note.engine_key,
        recipe=note.started_recipe(),
        ready=note.ready,
    )
