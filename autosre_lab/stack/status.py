"""What a stack and its services are doing now, wherever they run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autosre_lab.stack.ready import PlaceName

__all__ = ["ServiceState", "ServiceStatus", "StackState", "StackStatus"]

StackState = Literal["stopped", "starting", "ready", "paused", "crashed", "stopping"]
ServiceState = Literal["stopped", "running", "paused", "restarting", "crashed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service as it is now.

    Attributes:
        name: "engine" or "proxy".
        state: "restarting" means that it ended by itself and its supervisor starts it again.
            "paused" that a signal such as SIGSTOP holds it.
        pid: None where it does not run, or runs in a Pod.
        port: On loopback, or at the Service's address.
        started_at: Its last start, in seconds since the epoch; None where it does not run.
        uptime_s: Seconds since then.
        exit_code: How it ended, negative for a signal; None while it runs, or if unknown.
        cause: The likely cause of its end.
        remedy: What to do about it.
        restarts: How often its supervisor started it again.
        log_path: Its log; None where a Pod keeps it.
        pod: The Pod's name; None for a local process.
    """

    name: str
    state: ServiceState
    pid: int | None
    port: int
    started_at: float | None
    uptime_s: float | None
    exit_code: int | None
    cause: str | None
    remedy: str | None
    restarts: int
    log_path: Path | None
    pod: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StackStatus:
    """The stack as it is now.

    Attributes:
        state: "ready" only if it has generated a token and still answers.
        recipe_name: None where nothing was started.
        services: By name; empty where nothing was started.
        place: ``local`` or ``cluster``.
    """

    state: StackState
    recipe_name: str | None
    services: dict[str, ServiceStatus]
    place: PlaceName = "local"

    def __repr__(self) -> str:
        services = ", ".join(f"{one.name} {one.state}" for one in self.services.values())
        told = f" ({services})" if services else ""
        return f"<StackStatus {self.recipe_name or 'nothing'}, {self.place}: {self.state}{told}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from autosre_lab.stack.cards import status_card

        return status_card(self).mimebundle()
