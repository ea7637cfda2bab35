"""What a proxy is told when it starts."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autosre_lab.errors import ConfigError
from autosre_lab.proxy.priority import PRIORITIES, RequestKind

__all__ = ["ProxyConfig", "is_loopback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """Settings of one proxy.

    Attributes:
        upstream: The engine's base URL.
        host: The address to listen on.
        port: 0 takes a free one.
        token: What clients have to show; needed beyond loopback.
        request_log: File for one JSON line a request; None writes none.
        request_log_bytes: Size at which it is turned over; one old file is kept.
        keepalive_after_s: Silence of the engine after which the answer is begun without it.
        keepalive_every_s: Seconds between two signs of life.
        max_running: Requests at a time; beyond it 429, and 529 for background ones at half of it.
        max_body_bytes: Largest request taken.
        connect_timeout_s: Seconds the engine has to accept a connection.
        shutdown_grace_s: Seconds that running answers get when the proxy is told to end.
        profile_ttl_s: Seconds after which the engine is asked again which model it serves.
        priorities: vLLM's `priority` by kind of request, lower first.
    """

    upstream: str
    host: str = "127.0.0.1"
    port: int = 8011
    token: str | None = field(default=None, repr=False)
    request_log: Path | None = None
    request_log_bytes: int = 64 * 1024**2
    keepalive_after_s: float = 10.0
    keepalive_every_s: float = 15.0
    max_running: int = 1024
    max_body_bytes: int = 64 * 1024**2
    connect_timeout_s: float = 5.0
    shutdown_grace_s: float = 5.0
    profile_ttl_s: float = 300.0
    priorities: Mapping[RequestKind, int] = field(default_factory=lambda: PRIORITIES)

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.token:
            raise ConfigError(
                f"the proxy would listen on {self.host} for everybody, without a token",
                remedy="set AUTOSRE_PROXY_TOKEN or give --token-file, or listen on 127.0.0.1",
            )


def is_loopback(host: str) -> bool:
    """Whether an address or name can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
