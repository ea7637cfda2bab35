"""The types that both places of a stack share: what was started, and what it is doing."""

from __future__ import annotations

from autosre_lab.stack.ready import Stack
from autosre_lab.stack.status import ServiceState, ServiceStatus, StackState, StackStatus

__all__ = ["ServiceState", "ServiceStatus", "Stack", "StackState", "StackStatus"]
