"""Anthropic's Messages API in front of a vLLM.

The translation is pure functions (`chat_request`, `message_stream` and what they use); the server
around it is `server`, one request's life is `exchange`, and the names below are what others use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.proxy.config import ProxyConfig
    from autosre_lab.proxy.listening import running_proxy, serve
    from autosre_lab.proxy.request_log import read_request_log
    from autosre_lab.proxy.server import create_app

_HOME = {
    "ProxyConfig": "config",
    "create_app": "server",
    "read_request_log": "request_log",
    "running_proxy": "listening",
    "serve": "listening",
}

__all__ = ["ProxyConfig", "create_app", "read_request_log", "running_proxy", "serve"]


def __getattr__(name: str) -> object:
    # Reading a request log in a notebook must not start an HTTP stack.
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
