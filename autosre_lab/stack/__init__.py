"""The types that both places of a stack share: what was started, what it does, what it lacks."""

from __future__ import annotations

from autosre_lab.stack.preflight import Check, PreflightReport
from autosre_lab.stack.ready import PlaceName, Stack
from autosre_lab.stack.status import ServiceState, ServiceStatus, StackState, StackStatus

__all__ = [
    "Check",
    "PlaceName",
    "PreflightReport",
    "ServiceState",
    "ServiceStatus",
    "Stack",
    "StackState",
    "StackStatus",
]
