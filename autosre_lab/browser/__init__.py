"""A browser for a local model: found or started, guarded, driven by refs, recorded when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.browser.actions import act, go_to
    from autosre_lab.browser.capture import save_pdf, take_screenshot
    from autosre_lab.browser.chromium import LocalChromium, find_chromium
    from autosre_lab.browser.config import BrowserConfig, browser_config, get_browser_url
    from autosre_lab.browser.egress import EgressProxy
    from autosre_lab.browser.recordings import BrowserRecording, list_recordings, prune_recordings
    from autosre_lab.browser.service import BrowserlessService, BrowserService
    from autosre_lab.browser.session import BrowserSession
    from autosre_lab.browser.sessions import BrowserSessions, SessionOptions
    from autosre_lab.browser.steps import BrowserStep, parse_steps
else:
    # A server starts per Claude Code session, and most sessions never open a browser.
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = [
    "BrowserConfig",
    "BrowserRecording",
    "BrowserService",
    "BrowserSession",
    "BrowserSessions",
    "BrowserStep",
    "BrowserlessService",
    "EgressProxy",
    "LocalChromium",
    "SessionOptions",
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
