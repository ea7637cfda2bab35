"""What a proxy is told when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autosre_lab.errors import ConfigError
from autosre_lab.proxy.priority import PRIORITIES, RequestKind
from autosre_lab.proxy.web_search import Searcher
from autosre_lab.serving.listener import IDLE_S
from autosre_lab.serving.reach import check_reach

__all__ = ["ProxyConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """Settings of one proxy.

    Attributes:
        upstream: The engine's base URL.
        host: The address to listen on.
        port: 0 takes a free one.
        token: What clients have to show; needed beyond loopback.
        engine_key: What the engine wants to be shown, where it wants anything.
        keys_file: The keys of single clients, looked at again when it changes; None takes none.
        origins: Origins of web pages that may ask; see `serving.reach.read_origins`.
        request_log: File for one JSON line a request; None writes none.
        responses_dir: Folder in which responses are stored for `previous_response_id` and
            `GET /v1/responses/…`; None stores none.
        request_log_bytes: Size at which it is turned over; one old file is kept.
        keepalive_after_s: Silence of the engine after which the answer is begun without it.
        keepalive_every_s: Seconds between two signs of life.
        max_running: Requests at a time; beyond it 429, and 529 for background ones at half of it.
        max_body_bytes: Largest request taken.
        idle_s: Seconds after which a silent connection is closed.
        connect_timeout_s: Seconds the engine has to accept a connection.
        shutdown_grace_s: Seconds that running answers get when the proxy is told to end.
        profile_ttl_s: Seconds after which the engine is asked again which model it serves.
        resume_tries: How often an answer that broke off is asked for again; 0 never.
        resume_for_s: Seconds that the engine has to come back, each time.
        resume_tokens: Tokens of one answer that may be generated for nothing.
        priorities: vLLM's `priority` by kind of request, lower first.
        search: Who makes the web searches that clients expect of their server; None makes none.
    """

    upstream: str
    host: str = "127.0.0.1"
    port: int = 8011
    token: str | None = field(default=None, repr=False)
    engine_key: str | None = field(default=None, repr=False)
    keys_file: Path | None = None
    origins: frozenset[str] = frozenset()
    request_log: Path | None = None
    responses_dir: Path | None = None
    request_log_bytes: int = 64 * 1024**2
    keepalive_after_s: float = 10.0
    keepalive_every_s: float = 15.0
    max_running: int = 1024
    max_body_bytes: int = 64 * 1024**2
    idle_s: float = IDLE_S
    connect_timeout_s: float = 5.0
    shutdown_grace_s: float = 5.0
    profile_ttl_s: float = 300.0
    resume_tries: int = 3
    resume_for_s: float = 600.0
    resume_tokens: int = 32_000
    priorities: Mapping[RequestKind, int] = field(default_factory=lambda: PRIORITIES)
    search: Searcher | None = None

    def __post_init__(self) -> None:
        if self.keys_file is not None and self.request_log is None:
            raise ConfigError(
                "keys need a request log: what each has used is counted there",
                remedy="give --request-log FILE as well",
            )
        check_reach(
            self.host,
            self.token,
            server="the proxy",
            remedy="set AUTOSRE_PROXY_TOKEN or give --token-file",
        )
