"""The local stack: one engine and one proxy as supervised processes of this user.

What runs is described by files in the state folder, so every process of this user, now or after
a restart, sees the same stack; one lock makes starts and stops take turns.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from autosre_lab.engine.commands import (
    engine_command,
    engine_environ,
    proxy_command,
    proxy_environ,
)
from autosre_lab.engine.diagnosis import diagnose
from autosre_lab.engine.files import locked, read_json, write_private_json
from autosre_lab.engine.service import Service, ServiceRecord
from autosre_lab.errors import (
    NotReadyError,
    RecipeError,
    ServiceCrashedError,
    StackBusyError,
)
from autosre_lab.progress import step
from autosre_lab.settings import load_settings, paths

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["ServiceStatus", "Stack", "StackStatus", "start", "status", "stop", "wait_ready"]

StackState = Literal["stopped", "starting", "ready", "crashed"]
ServiceState = Literal["stopped", "running", "restarting", "crashed"]

ENGINE_PORT = 8010
PROXY_PORT = 8011
HEALTH_TIMEOUT_S = 5.0
PROXY_GRACE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack that is ready.

    Attributes:
        recipe_name: What it serves.
        engine_url: vLLM's base URL.
        proxy_url: The Anthropic proxy's base URL.
        token: What clients of the proxy have to show; not in the repr.
        model: The served name.
        max_model_len: The context window in tokens.
        log_dir: Folder of ``engine.log`` and ``proxy.log``.
        request_log: One JSON line a request; see `autosre_lab.read_request_log`.
    """

    recipe_name: str
    engine_url: str
    proxy_url: str
    token: str = field(repr=False)
    model: str
    max_model_len: int
    log_dir: Path
    request_log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service as it is now.

    Attributes:
        name: "engine" or "proxy".
        state: "restarting" means that it ended by itself and its supervisor starts it again.
        pid: None where it does not run.
        port: On loopback.
        uptime_s: Seconds since its last start; None where it does not run.
        exit_code: How it ended, negative for a signal; None while it runs.
        cause: The likely cause of its end.
        remedy: What to do about it.
        restarts: How often its supervisor started it again.
        log_path: Its log.
    """

    name: str
    state: ServiceState
    pid: int | None
    port: int | None
    uptime_s: float | None
    exit_code: int | None
    cause: str | None
    remedy: str | None
    restarts: int
    log_path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStatus:
    """The stack as it is now.

    Attributes:
        state: "ready" only if it has generated a token and still answers.
        recipe_name: None where nothing was started.
        services: By name; empty where nothing was started.
    """

    state: StackState
    recipe_name: str | None
    services: dict[str, ServiceStatus]


@dataclass(frozen=True, slots=True)
class _Files:
    """The state folder's files."""

    state: Path

    @property
    def stack(self) -> Path:
        return self.state / "stack.json"

    @property
    def lock(self) -> Path:
        return self.state / "stack.lock"

    @property
    def request_log(self) -> Path:
        return self.state / "logs" / "requests.jsonl"

    @property
    def engine(self) -> Service:
        return Service("engine", self.state)

    @property
    def proxy(self) -> Service:
        return Service("proxy", self.state)


@overload
def start(
    recipe: Recipe | str | os.PathLike[str] | None = None,
    *,
    engine_port: int | None = None,
    proxy_port: int | None = None,
    wait: Literal[True] = True,
    timeout_s: float | None = None,
) -> Stack: ...


@overload
def start(
    recipe: Recipe | str | os.PathLike[str] | None = None,
    *,
    engine_port: int | None = None,
    proxy_port: int | None = None,
    wait: Literal[False],
    timeout_s: float | None = None,
) -> StackStatus: ...


def start(
    recipe: Recipe | str | os.PathLike[str] | None = None,
    *,
    engine_port: int | None = None,
    proxy_port: int | None = None,
    wait: bool = True,
    timeout_s: float | None = None,
) -> Stack | StackStatus:
    """Start engine and proxy; where they run already, do nothing.

    What is missing is installed first: the engine's environment and the model.

    Args:
        recipe: What to serve; a name, a path or a loaded recipe. The setting `recipe` by default.
        engine_port: vLLM's port; the setting by default, where 0 means 8010 or a free one.
        proxy_port: The proxy's port; likewise 8011.
        wait: Return when a token has been generated; else as soon as the processes run.
        timeout_s: Seconds to wait for that; the setting `ready_timeout_s` by default.

    Returns:
        The stack, or with ``wait=False`` its status.

    Raises:
        RecipeError: The recipe cannot be run as local processes.
        StackBusyError: Another recipe's stack runs.
        PortTakenError: A port that was asked for is taken.
        ProvisionError: Something could not be installed.
        ServiceCrashedError: A service ended instead of becoming ready.
        NotReadyError: It took too long.
    """
    from autosre_lab.recipe import load_recipe

    settings = load_settings()
    chosen = recipe if recipe is not None else settings.recipe
    loaded = load_recipe(chosen) if isinstance(chosen, (str, os.PathLike)) else chosen
    files = _Files(paths().state)
    with locked(files.lock):
        found = _look(files)
        if found.state in ("ready", "starting") and found.recipe_name != loaded.name:
            raise StackBusyError(
                f"the stack of {found.recipe_name} runs",
                remedy=f"stop it first (`autosre stop`), then start {loaded.name}",
            )
        if found.state in ("stopped", "crashed"):
            _clear(files)
            _launch(
                loaded,
                files,
                engine_port=settings.engine_port if engine_port is None else engine_port,
                proxy_port=settings.proxy_port if proxy_port is None else proxy_port,
            )
    return wait_ready(timeout_s=timeout_s) if wait else status()


def wait_ready(*, timeout_s: float | None = None) -> Stack:
    """Wait until the stack that was started has generated a token, through the proxy too.

    Args:
        timeout_s: Seconds; the setting `ready_timeout_s` by default.

    Raises:
        NotReadyError: Nothing was started, or it took too long.
        ServiceCrashedError: A service ended instead.
    """
    from autosre_lab.engine.readiness import phase_of, wait_for_engine, wait_for_proxy

    files = _Files(paths().state)
    noted = read_json(files.stack)
    if noted is None:
        raise NotReadyError("no stack was started", remedy="start one: `autosre start`")
    if noted.get("ready") and _look(files).state == "ready":
        return _stack(files)
    patience_s = load_settings().ready_timeout_s if timeout_s is None else timeout_s
    deadline_s = time.monotonic() + patience_s

    def look() -> str:
        for service in (files.engine, files.proxy):
            _raise_if_ended(service)
        return phase_of(files.engine.tail())

    with step(f"Start {noted['recipe_name']}") as bar:
        served = wait_for_engine(_url(noted["engine_port"]), bar, deadline_s=deadline_s, look=look)
        files.engine.mark_ready()
        bar.note("a first token through the proxy")
        wait_for_proxy(_url(noted["proxy_port"]), noted["token"], deadline_s=deadline_s, look=look)
        files.proxy.mark_ready()
        served_facts = {"model": served.id, "max_model_len": served.max_model_len}
        write_private_json(files.stack, {**noted, **served_facts, "ready": True})
    return _stack(files)


def stop(*, timeout_s: float = 60.0) -> StackStatus:
    """End exactly the processes that were started; a stack that does not run is fine.

    Args:
        timeout_s: Seconds each service has to end before it is killed.
    """
    files = _Files(paths().state)
    with locked(files.lock):
        if read_json(files.stack) is not None:
            with step("Stop the stack"):
                _clear(files, timeout_s=timeout_s)
        else:
            _clear(files, timeout_s=timeout_s)
    return status()


def status() -> StackStatus:
    """Return the stack as it is now. Changes nothing and starts nothing."""
    return _look(_Files(paths().state))


def _launch(recipe: Recipe, files: _Files, *, engine_port: int, proxy_port: int) -> None:
    from autosre_lab.engine.engine_environment import provision_engine
    from autosre_lab.engine.model_folder import provision_model
    from autosre_lab.engine.ports import choose_port

    _refuse_mistakes(recipe)
    folders = paths()
    # Ports first: a taken one should not be found out after minutes of installing.
    engine_port = choose_port(engine_port, usual=ENGINE_PORT, variable="AUTOSRE_ENGINE_PORT")
    proxy_port = choose_port(proxy_port, usual=PROXY_PORT, variable="AUTOSRE_PROXY_PORT")
    python = provision_engine(recipe)
    model = provision_model(recipe, python)
    token = secrets.token_urlsafe(24)
    noted = {
        "recipe_name": recipe.name,
        "engine_port": engine_port,
        "proxy_port": proxy_port,
        "token": token,
        "started_at": time.time(),
        "ready": False,
    }
    write_private_json(files.stack, noted)
    files.engine.start(
        engine_command(recipe, python=python, model=model, port=engine_port),
        environ=engine_environ(recipe, folders, python=python, environ=os.environ),
        grace_s=float(recipe.lifecycle.grace_s),
        unset=("PYTHONPATH",),
    )
    files.proxy.start(
        proxy_command(port=proxy_port, engine_url=_url(engine_port), request_log=files.request_log),
        environ=proxy_environ(token, os.environ),
        grace_s=PROXY_GRACE_S,
    )


def _refuse_mistakes(recipe: Recipe) -> None:
    from autosre_lab.recipe import lint_recipe

    errors = [finding for finding in lint_recipe(recipe) if finding.severity == "error"]
    if errors:
        raise RecipeError(
            f"recipe {recipe.name}: "
            + "; ".join(f"{finding.key}: {finding.message}" for finding in errors),
            remedy="; ".join(finding.remedy for finding in errors),
        )


def _clear(files: _Files, *, timeout_s: float = 60.0) -> None:
    files.proxy.stop(timeout_s=timeout_s)
    files.engine.stop(timeout_s=timeout_s)
    files.stack.unlink(missing_ok=True)


def _look(files: _Files) -> StackStatus:
    noted = read_json(files.stack)
    if noted is None:
        return StackStatus(state="stopped", recipe_name=None, services={})
    ports = {"engine": noted.get("engine_port"), "proxy": noted.get("proxy_port")}
    services = {
        service.name: _service_status(service, ports[service.name])
        for service in (files.engine, files.proxy)
    }
    state: StackState
    if any(service.state in ("crashed", "stopped") for service in services.values()):
        state = "crashed"
    elif not noted.get("ready") or not _answers(noted):
        state = "starting"
    else:
        state = "ready"
    return StackStatus(state=state, recipe_name=noted.get("recipe_name"), services=services)


def _answers(noted: dict[str, object]) -> bool:
    from autosre_lab.engine.backend import VllmBackend

    for port in (noted["engine_port"], noted["proxy_port"]):
        with VllmBackend(_url(port), timeout_s=HEALTH_TIMEOUT_S) as backend:
            if not backend.health():
                return False
    return True


def _service_status(service: Service, port: int | None) -> ServiceStatus:
    record = service.record()
    state = _service_state(record)
    found = None
    if record is not None and state in ("crashed", "restarting"):
        found = diagnose(service.tail(), record.exit_code)
    running = record is not None and record.running
    started_at = record.started_at if record is not None and running else None
    return ServiceStatus(
        name=service.name,
        state=state,
        pid=record.pid if record is not None and running else None,
        port=port,
        uptime_s=None if started_at is None else max(0.0, time.time() - started_at),
        exit_code=record.exit_code if record else None,
        cause=found.cause if found else None,
        remedy=found.remedy if found else None,
        restarts=record.restarts if record else 0,
        log_path=service.log_path,
    )


def _service_state(record: ServiceRecord | None) -> ServiceState:
    if record is None:
        return "stopped"
    if record.running and record.supervised:
        return "running"
    if record.supervised and record.exit_code is None:
        return "running"  # the supervisor is about to start it for the first time
    if record.supervised:
        return "restarting"
    return "crashed"


def _raise_if_ended(service: Service) -> None:
    record = service.record()
    if record is not None and (record.running or record.supervised):
        return
    tail = service.tail()
    code = record.exit_code if record is not None else None
    found = diagnose(tail, code)
    raise ServiceCrashedError(
        f"the {service.name} ended (exit code {code}); likely cause: {found.cause}",
        remedy=f"{found.remedy} (whole log: {service.log_path})",
        service=service.name,
        exit_code=code,
        log_tail=tail,
    )


def _stack(files: _Files) -> Stack:
    noted = read_json(files.stack)
    if noted is None or not noted.get("ready"):
        raise NotReadyError("the stack was stopped meanwhile", remedy="start it: `autosre start`")
    return Stack(
        recipe_name=noted["recipe_name"],
        engine_url=_url(noted["engine_port"]),
        proxy_url=_url(noted["proxy_port"]),
        token=noted["token"],
        model=noted["model"],
        max_model_len=int(noted["max_model_len"]),
        log_dir=files.state / "logs",
        request_log=files.request_log,
    )


def _url(port: object) -> str:
    return f"http://127.0.0.1:{port}"
