"""One set of verbs for both places a stack can run in: local processes and Pods."""

from __future__ import annotations

from autosre_lab.lifecycle.browser import stack_browser
from autosre_lab.lifecycle.place import PLACES, Place, last_place, place_for
from autosre_lab.lifecycle.stack import start, status, stop, switch, wait_ready

__all__ = [
    "PLACES",
    "Place",
    "last_place",
    "place_for",
    "stack_browser",
    "start",
    "status",
    "stop",
    "switch",
    "wait_ready",
]
