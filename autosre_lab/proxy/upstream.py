"""The engine as the proxy sees it: one pooled HTTP client, and its failures as ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from autosre_lab.engine.protocol import ServedModel, parse_models
from autosre_lab.proxy.failures import (
    Failure,
    broken_stream,
    engine_down,
    engine_message,
)

__all__ = ["EngineUnreachableError", "TemplateRejectedError", "Upstream"]

COUNT_TIMEOUT_S = 60.0
"""Seconds for a count: rendering and tokenizing 262,144 tokens takes a second or two."""

MODELS_TIMEOUT_S = 10.0

_READ_BYTES = 256 * 1024


class EngineUnreachableError(Exception):
    """No answer, or none that says what it must. Carries the failure to tell the client."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class TemplateRejectedError(Exception):
    """The engine understood the request and will not render it; the text is its reason."""


class Upstream:
    """Requests to one engine.

    Args:
        url: Base URL.
        connect_timeout_s: Seconds it has to accept a connection. Answers may take any time.
    """

    def __init__(self, url: str, *, connect_timeout_s: float) -> None:
        self.url = url
        self._connect_timeout_s = connect_timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the connection pool; to be called inside the event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._connect_timeout_s, sock_read=None
            ),
            read_bufsize=_READ_BYTES,
            auto_decompress=False,
            headers={"accept-encoding": "identity"},
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def chat(self, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a chat request; leaving the block early closes the socket, which aborts it.

        Raises:
            EngineUnreachableError: No connection, or it was lost before the status line.
        """
        try:
            response = await self._post("/v1/chat/completions", body)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineUnreachableError(engine_down(self.url, reason(error))) from error
        try:
            yield response
        finally:
            # `release` would keep an unfinished answer's socket open; `close` is what vLLM sees.
            response.close()

    async def count(self, body: dict[str, Any]) -> int:
        """Count the tokens of what a chat request renders to.

        Raises:
            TemplateRejectedError: The template refuses the messages.
            EngineUnreachableError: No answer.
        """
        return int((await self.tokenize(body))["count"])

    async def tokenize(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return vLLM's answer of `/tokenize`: `count`, `max_model_len` and `tokens`.

        Raises:
            TemplateRejectedError: The template refuses the messages.
            EngineUnreachableError: No answer.
        """
        timeout = aiohttp.ClientTimeout(total=COUNT_TIMEOUT_S, sock_connect=self._connect_timeout_s)
        try:
            async with await self._post(
                "/tokenize", msgspec.json.encode(body), limits=timeout
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineUnreachableError(engine_down(self.url, reason(error))) from error
        if response.status != 200:
            message = engine_message(content)
            if response.status < 500:
                raise TemplateRejectedError(message)
            raise EngineUnreachableError(broken_stream(message))
        try:
            answer: dict[str, Any] = msgspec.json.decode(content)
            answer["count"] = int(answer["count"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise EngineUnreachableError(broken_stream("its count is no number")) from error
        return answer

    async def models(self) -> list[ServedModel]:
        """Return what is served.

        Raises:
            EngineUnreachableError: No answer.
        """
        timeout = aiohttp.ClientTimeout(
            total=MODELS_TIMEOUT_S, sock_connect=self._connect_timeout_s
        )
        try:
            async with self._client.get(f"{self.url}/v1/models", timeout=timeout) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineUnreachableError(engine_down(self.url, reason(error))) from error
        if response.status != 200:
            failure = engine_down(self.url, f"/v1/models gave {response.status}")
            raise EngineUnreachableError(failure)
        try:
            models = parse_models(msgspec.json.decode(content))
        except (msgspec.DecodeError, ValueError, TypeError, KeyError) as error:
            failure = engine_down(self.url, "/v1/models is not vLLM's list of models")
            raise EngineUnreachableError(failure) from error
        if not models:
            raise EngineUnreachableError(engine_down(self.url, "it serves no model"))
        return models

    @property
    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("open() comes first")
        return self._session

    async def _post(
        self, path: str, body: bytes, *, limits: aiohttp.ClientTimeout | None = None
    ) -> aiohttp.ClientResponse:
        headers = {"content-type": "application/json"}
        if limits is None:
            return await self._client.post(self.url + path, data=body, headers=headers)
        return await self._client.post(self.url + path, data=body, headers=headers, timeout=limits)


def reason(error: BaseException) -> str:
    """Return a few words about a connection's failure."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "connection refused"
    return str(error) or type(error).__name__
