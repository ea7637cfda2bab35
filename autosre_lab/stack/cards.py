"""A stack and its state as they are printed; the token never is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.cards import Card

if TYPE_CHECKING:
    from autosre_lab.stack import ServiceStatus, Stack, StackStatus

__all__ = ["stack_card", "status_card"]


def stack_card(stack: Stack) -> Card:
    """Return where a stack is and what it serves."""
    return Card(
        title=f"{stack.recipe_name} is {'ready' if stack.ready else 'starting'}",
        rows=(
            ("model", stack.model),
            ("window", f"{stack.max_model_len:,} tokens"),
            ("engine", stack.engine_url),
            ("proxy", stack.proxy_url),
            ("logs", "in the Pods: kubectl logs" if stack.log_dir is None else str(stack.log_dir)),
        ),
    )


def status_card(status: StackStatus) -> Card:
    """Return what runs, and where something ended, why and what to do."""
    rows = [_row(service) for service in status.services.values()]
    notes = []
    for service in status.services.values():
        if service.cause:
            notes.append(f"{service.name}, likely cause: {service.cause}")
            notes.append(f"what to do: {service.remedy}")
    return Card(
        title=f"{status.recipe_name or 'stack'}: {status.state}"
        + (" (in the cluster)" if status.place == "cluster" else ""),
        head=("service", "state", "where", "port", "up", "restarts") if rows else (),
        rows=rows,
        notes=notes,
    )


def _row(service: ServiceStatus) -> tuple[str, ...]:
    where = f"pid {service.pid}" if service.pid is not None else service.pod or "n/a"
    up = "n/a" if service.uptime_s is None else f"{service.uptime_s:.0f} s"
    return (service.name, service.state, where, str(service.port), up, str(service.restarts))
