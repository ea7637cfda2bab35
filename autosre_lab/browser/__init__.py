"""A browser for a local model: found or started, guarded, driven by refs, recorded when asked."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.browser.actions import act, go_to
    from autosre_lab.browser.capture import save_pdf, take_screenshot
    from autosre_lab.browser.chromium import LocalChromium, find_chromium
    from autosre_lab.browser.config import BrowserConfig, browser_config, get_browser_url
    from autosre_lab.browser.egress import EgressProxy
    from autosre_lab.browser.recordings import Recording, list_recordings, prune_recordings
    from autosre_lab.browser.service import BrowserlessService, BrowserService
    from autosre_lab.browser.session import BrowserSession
    from autosre_lab.browser.sessions import BrowserSessions, SessionOptions
    from autosre_lab.browser.steps import Step, parse_steps

_HOME = {
    "BrowserConfig": "config",
    "BrowserService": "service",
    "BrowserSession": "session",
    "BrowserSessions": "sessions",
    "BrowserlessService": "service",
    "EgressProxy": "egress",
    "LocalChromium": "chromium",
    "Recording": "recordings",
    "SessionOptions": "sessions",
    "Step": "steps",
    "act": "actions",
    "browser_config": "config",
    "find_chromium": "chromium",
    "get_browser_url": "config",
    "go_to": "actions",
    "list_recordings": "recordings",
    "parse_steps": "steps",
    "prune_recordings": "recordings",
    "save_pdf": "capture",
    "take_screenshot": "capture",
}

__all__ = [
    "BrowserConfig",
    "BrowserService",
    "BrowserSession",
    "BrowserSessions",
    "BrowserlessService",
    "EgressProxy",
    "LocalChromium",
    "Recording",
    "SessionOptions",
    "Step",
    "act",
    "browser_config",
    "find_chromium",
    "get_browser_url",
    "go_to",
    "list_recordings",
    "parse_steps",
    "prune_recordings",
    "save_pdf",
    "take_screenshot",
]


def __getattr__(name: str) -> object:
    # A server starts per Claude Code session, and most sessions never open a browser.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
