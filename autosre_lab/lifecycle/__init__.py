"""One set of verbs for both places a stack can run in: local processes and Pods."""

from __future__ import annotations

from autosre_lab.lifecycle.changes import Change
from autosre_lab.lifecycle.place import PLACES, Place, last_place, place_for
from autosre_lab.lifecycle.verbs import (
    find_changes,
    find_drift,
    preflight,
    stack_browser,
    stack_logs,
    stack_sources,
    start,
    started_recipe,
    status,
    stop,
    switch,
    wait_ready,
    warn_on_recipe_drift,
)

__all__ = [
    "PLACES",
    "Change",
    "Place",
    "find_changes",
    "find_drift",
    "last_place",
    "place_for",
    "preflight",
    "stack_browser",
    "stack_logs",
    "stack_sources",
    "start",
    "started_recipe",
    "status",
    "stop",
    "switch",
    "wait_ready",
    "warn_on_recipe_drift",
]
