"""Anthropic's Messages API in front of a vLLM.

The translation is pure functions (`chat_request`, `message_stream` and what they use); the server
around it is `server`, one request's life is `exchange`, and the names below are what others use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.proxy.config import ProxyConfig
    from autosre_lab.proxy.listening import running_proxy, serve
    from autosre_lab.proxy.request_log import read_request_log
    from autosre_lab.proxy.server import create_app
else:
    # Reading a request log in a notebook must not start an HTTP stack.
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = ["ProxyConfig", "create_app", "read_request_log", "running_proxy", "serve"]
