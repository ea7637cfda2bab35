"""A real proxy on loopback in front of the scripted vLLM stand-in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import pytest

from autosre_lab.proxy import ProxyConfig, running_proxy
from autosre_lab.scripted.chat_engine import ScriptedVllm, Turn
from tests.proxy.event_grammar import events_of


@dataclass(kw_only=True)
class Lab:
    """One proxy, its scripted engine, and two clients for it."""

    upstream: ScriptedVllm
    url: str
    http: aiohttp.ClientSession
    sdk: anthropic.AsyncAnthropic
    log_path: Path

    async def post(
        self, body: dict[str, Any] | bytes, path: str = "/v1/messages?beta=true", **headers: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Send a request and return status, decoded body and headers."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post(self.url + path, data=data, headers=sent) as response:
            received = {name.lower(): value for name, value in response.headers.items()}
            return response.status, json.loads(await response.read()), received

    async def raw_events(self, body: dict[str, Any], **headers: str) -> bytes:
        """Send a streaming request and return its events as they came."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = json.dumps({**body, "stream": True}).encode()
        async with self.http.post(f"{self.url}/v1/messages", data=data, headers=sent) as response:
            received = await response.read()
            assert response.status == 200, received
        return received

    async def events(self, body: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
        """Send a streaming request and return its events."""
        return events_of(await self.raw_events(body, **headers))


StartLab = Callable[..., Any]


@pytest.fixture
def anyio_backend() -> str:
    """The proxy is asyncio's."""
    return "asyncio"


@pytest.fixture
async def start_lab(tmp_path: Path, anyio_backend: str) -> AsyncIterator[StartLab]:
    """Start a proxy and its scripted engine; arguments go to the one that knows them."""
    async with AsyncExitStack() as stack:

        async def start(
            *turns: Turn,
            max_model_len: int = 262_144,
            rejects_mid_system: bool = False,
            refuses: Any = lambda _: "",
            script: Any = None,
            **config: Any,
        ) -> Lab:
            upstream = await stack.enter_async_context(
                ScriptedVllm(
                    script or turns or [Turn(text="Hello there.")],
                    max_model_len=max_model_len,
                    rejects_mid_system=rejects_mid_system,
                    refuses=refuses,
                )
            )
            log_path = tmp_path / "requests.jsonl"
            url = await stack.enter_async_context(
                running_proxy(
                    ProxyConfig(
                        upstream=upstream.url,
                        port=0,
                        request_log=log_path,
                        **{"shutdown_grace_s": 0.2, **config},
                    )
                )
            )
            http = await stack.enter_async_context(aiohttp.ClientSession())
            sdk = await stack.enter_async_context(
                anthropic.AsyncAnthropic(
                    base_url=url, auth_token="a-token", api_key=None, max_retries=0
                )
            )
            return Lab(upstream=upstream, url=url, http=http, sdk=sdk, log_path=log_path)

        yield start


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that failed is asked again at once."""
    monkeypatch.setattr("autosre_lab.proxy.state._PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr("autosre_lab.proxy.state._POLL_S", 0.02)


def ask(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    """Return a small request body."""
    return {
        "model": "any-name",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": text}],
        **fields,
    }
