"""What everything outside the proxy asks of a running engine, and vLLM's answers to it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from autosre_lab.engine.protocol import ServedModel, engine_url, parse_models
from autosre_lab.errors import RemoteError

__all__ = ["Backend", "VllmBackend", "warm_up_text"]

_BODY_CHARS = 2000


def warm_up_text(size: int) -> str:
    """Return a prompt of so many words, with a beginning that no other one has.

    A prompt that begins like another would be found in the prefix cache.
    """
    return f"{size} " + "word " * size


class Backend(ABC):
    """A running engine, whichever it is. A context manager.

    Every method that asks raises `RemoteError` where no usable answer comes.

    Attributes:
        url: Base URL of the engine.
    """

    url: str

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    def health(self) -> bool:
        """Whether the engine says that it is alive. It may not be able to answer yet."""

    @abstractmethod
    def models(self) -> list[ServedModel]:
        """Return the served models, base models first."""

    @abstractmethod
    def version(self) -> str:
        """Return the engine's version."""

    @abstractmethod
    def metrics_text(self) -> str:
        """Return the Prometheus exposition text."""

    @abstractmethod
    def count_tokens(
        self,
        text: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> int:
        """Count exactly, with the engine's own tokenizer and chat template."""

    @abstractmethod
    def first_token(self, *, timeout_s: float | None = None) -> float:
        """Have one token generated, and return the seconds until it came."""

    def max_model_len(self) -> int:
        """Return the context window in tokens.

        Raises:
            RemoteError: No answer, or nothing is served.
        """
        return self.first_model().max_model_len

    def first_model(self) -> ServedModel:
        """Return the model that answers.

        Raises:
            RemoteError: No answer, or nothing is served.
        """
        models = self.models()
        if not models:
            raise RemoteError(
                f"the engine at {self.url} serves no model",
                remedy="see the engine's log",
                status=200,
                body="",
            )
        return models[0]


class VllmBackend(Backend):
    """Ask a vLLM what it is and what it does.

    Args:
        url: Base URL; ``host:port`` is enough.
        timeout_s: Seconds an answer may take.
        api_key: What the engine was started with, if anything.

    Raises:
        ConfigError: The URL is unusable.

    Example:
        >>> with VllmBackend("127.0.0.1:8010") as backend:  # doctest: +SKIP
        ...     backend.max_model_len()
        8192
    """

    def __init__(self, url: str, *, timeout_s: float = 30.0, api_key: str | None = None) -> None:
        self.url = engine_url(url)
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        # An engine on this machine or in its cluster is never behind the user's web proxy.
        self._client = httpx.Client(
            base_url=self.url, timeout=timeout_s, headers=headers, trust_env=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def health(self) -> bool:
        """Whether the engine says that it is alive. It may not be able to answer yet."""
        try:
            return self._client.get("/health").status_code == 200
        except httpx.HTTPError:
            return False

    def models(self) -> list[ServedModel]:
        """Return the served models, base models first.

        Raises:
            RemoteError: No answer, or not vLLM's.
        """
        answer = self._json("GET", "/v1/models")
        try:
            return parse_models(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise RemoteError(
                f"{self.url}/v1/models is not vLLM's list of models",
                remedy="point the URL at a vLLM server",
                status=200,
                body=str(answer)[:_BODY_CHARS],
            ) from error

    def version(self) -> str:
        """Return vLLM's version.

        Raises:
            RemoteError: No answer.
        """
        return str(self._json("GET", "/version").get("version", ""))

    def metrics_text(self) -> str:
        """Return the Prometheus exposition text.

        Raises:
            RemoteError: No answer.
        """
        return self._request("GET", "/metrics").text

    def count_tokens(
        self,
        text: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> int:
        """Count exactly, with the engine's own tokenizer and chat template.

        Args:
            text: A plain text; without the special tokens that a model may want around it.
            messages: Chat messages instead, as the chat template renders them, generation prompt
                included.
            tools: Tools that go with the messages.

        Raises:
            RemoteError: No answer, or the template refuses the messages.
        """
        body: dict[str, Any] = {"model": self.first_model().id}
        if messages is None:
            body |= {"prompt": text or "", "add_special_tokens": False}
        else:
            body["messages"] = list(messages)
            if tools:
                body["tools"] = list(tools)
        return int(self._json("POST", "/tokenize", body)["count"])

    def first_token(self, *, timeout_s: float | None = None) -> float:
        """Have one token generated: the proof that the engine works.

        Returns:
            Seconds until it came.

        Raises:
            RemoteError: It did not.
        """
        body = {
            "model": self.first_model().id,
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 1,
        }
        started = time.perf_counter()
        answer = self._json("POST", "/v1/chat/completions", body, timeout_s=timeout_s)
        if not (answer.get("usage") or {}).get("completion_tokens"):
            raise RemoteError(
                "the engine answered without generating a token",
                remedy="see the engine's log",
                status=200,
                body=str(answer)[:_BODY_CHARS],
            )
        return time.perf_counter() - started

    def warm_up(self, sizes: Sequence[int], *, timeout_s: float = 120.0) -> None:
        """Have prompts of several sizes read once.

        Kernels of a mixture of experts are tuned for the number of tokens when they are first
        called with it, so that the first prompts of a size take several times as long.

        Args:
            sizes: Of the prompts, in words of about a token.
            timeout_s: Seconds for each.

        Raises:
            RemoteError: One was not answered.
        """
        model = self.first_model().id
        for size in sizes:
            body = {
                "model": model,
                "messages": [{"role": "user", "content": warm_up_text(size)}],
                "max_tokens": 1,
            }
            self._json("POST", "/v1/chat/completions", body, timeout_s=timeout_s)

    def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        response = self._request(method, path, body, timeout_s=timeout_s)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RemoteError(
                f"{self.url}{path} did not answer with a JSON object",
                remedy="point the URL at a vLLM server",
                status=response.status_code,
                body=response.text[:_BODY_CHARS],
            )
        return answer

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        timeout = httpx.USE_CLIENT_DEFAULT if timeout_s is None else httpx.Timeout(timeout_s)
        try:
            response = self._client.request(method, path, json=body, timeout=timeout)
        except httpx.HTTPError as error:
            raise RemoteError(
                f"the engine at {self.url} does not answer: {error or type(error).__name__}",
                remedy="`autosre status` says whether it runs and why not",
                status=0,
                body="",
            ) from error
        if response.status_code != 200:
            raise RemoteError(
                f"{self.url}{path} answered {response.status_code}: {response.text[:300]}",
                remedy="give it the engine's key: VllmBackend(url, api_key=stack.engine_key)"
                if response.status_code in (401, 403)
                else "see the engine's log for the same moment",
                status=response.status_code,
                body=response.text[:_BODY_CHARS],
            )
        return response
