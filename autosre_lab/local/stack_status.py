"""The stack as it is now: looked at, never changed."""

from __future__ import annotations

import time

from autosre_lab.engine.diagnosis import Diagnosis
from autosre_lab.local.container import container_runs
from autosre_lab.local.service import Service, ServiceRecord
from autosre_lab.local.stack_files import StackFiles, StackNote, local_url
from autosre_lab.stack import ServiceState, ServiceStatus, StackState, StackStatus

__all__ = ["answers", "explain_end", "is_there", "read_status", "service_state"]

HEALTH_TIMEOUT_S = 5.0

_SILENT_END = Diagnosis(
    "its supervisor was killed, and it ended with it",
    "start it again; if nobody did it, `dmesg` tells whether memory ran out",
)


def read_status(files: StackFiles, *, busy: bool | None = None) -> StackStatus:
    """Return the stack's status.

    Args:
        files: Its files.
        busy: Whether somebody else starts or stops it now; found out where not given.
    """
    note = files.read()
    busy = files.busy if busy is None else busy
    records = {service.name: service.record() for service in files.services}
    known = [record for record in records.values() if record is not None]
    if note is None or not (busy or any(record.this_boot for record in known)):
        # Nothing was started, or it ended with the machine, or before a service was started.
        return StackStatus(state="stopped", recipe_name=None, services={})
    ports = {"engine": note.engine_port, "proxy": note.proxy_port}
    services = {
        service.name: _service_status(service, records[service.name], ports[service.name])
        for service in files.services
    }
    states: set[ServiceState] = {service.state for service in services.values()}
    state: StackState
    if note.stopping and busy:
        state = "stopping"
    elif "crashed" in states or ("stopped" in states and not busy):
        state = "crashed"
    elif "paused" in states:
        state = "paused"
    elif "stopped" in states or not note.ready or not answers(files, note):
        state = "starting"
    else:
        state = "ready"
    return StackStatus(state=state, recipe_name=note.recipe_name, services=services)


def answers(files: StackFiles, note: StackNote) -> bool:
    """Whether engine and proxy both say that they are alive, they and not others on their ports."""
    from autosre_lab.engine.backend import VllmBackend

    for service, port in zip(files.services, (note.engine_port, note.proxy_port), strict=True):
        if not is_there(service, port, note):
            return False
        with VllmBackend(local_url(port), timeout_s=HEALTH_TIMEOUT_S) as backend:
            if not backend.health():
                return False
    return True


def is_there(service: Service, port: int, note: StackNote) -> bool:
    """Whether the service itself, and nobody else, answers on a port."""
    if service.name == "engine" and note.container:
        # Its processes are no children of ours, and may be another user's: the tool tells.
        return container_runs(*note.container.split())
    return service.listens_on(port)


def service_state(record: ServiceRecord | None) -> ServiceState:
    """Return what a service's record means at this moment."""
    if record is None:
        return "stopped"
    if record.supervised and record.paused:
        return "paused"
    if record.supervised:
        # Before its first process it is about to run.
        return "running" if record.running or record.pid is None else "restarting"
    return "crashed"


def explain_end(service: Service) -> Diagnosis:
    """Return the likely cause of a service's end."""
    record = service.record()
    if record is not None and record.paused:
        return Diagnosis(
            "it is paused: somebody sent it SIGSTOP, or a debugger holds it",
            f"let it go on: kill -CONT {record.pid}; or end it: autosre stop",
        )
    if record is not None and not record.supervised and record.exit_code is None:
        return _SILENT_END
    return service.diagnosis()


def _service_status(service: Service, record: ServiceRecord | None, port: int) -> ServiceStatus:
    state = service_state(record)
    running = record is not None and record.running and state in ("running", "paused")
    started_at = record.started_at if record is not None and running else None
    ended = explain_end(service) if state in ("crashed", "restarting", "paused") else None
    return ServiceStatus(
        name=service.name,
        state=state,
        pid=record.pid if record is not None and running else None,
        port=port,
        started_at=started_at,
        uptime_s=None if started_at is None else max(0.0, time.time() - started_at),
        exit_code=record.exit_code if record is not None else None,
        cause=ended.cause if ended is not None else None,
        remedy=ended.remedy if ended is not None else None,
        restarts=record.restarts if record is not None else 0,
        log_path=service.log_path,
    )
