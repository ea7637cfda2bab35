"""Ready means that a token was generated, by the engine and then through the proxy."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import httpx

from autosre_lab.engine.backend import VllmBackend
from autosre_lab.engine.protocol import ServedModel
from autosre_lab.errors import NotReadyError, RemoteError
from autosre_lab.progress import Step

__all__ = ["phase_of", "wait_for_engine", "wait_for_proxy"]

POLL_S = 0.1
FIRST_TOKEN_TIMEOUT_S = 120.0

# vLLM's own log lines, in the order in which a start goes through them; the last one seen counts.
_PHASES: tuple[tuple[str, str], ...] = (
    (r"non-default args", "reading the configuration"),
    (r"Initializing a V1 LLM engine|EngineCore", "starting the engine core"),
    (r"Starting to load model|Loading (?:safetensors|weights)", "loading the weights"),
    (r"Loading weights took|Model loading took", "weights are loaded"),
    (r"torch\.compile|Compiling|Dynamo bytecode", "compiling"),
    (r"KV cache size|GPU KV cache|CPU KV cache|init engine", "making the KV cache"),
    (r"Capturing CUDA graph", "capturing CUDA graphs"),
    (r"Started server process|Application startup complete", "serving, no token yet"),
)


def phase_of(log_tail: list[str]) -> str:
    """Return in a few words what a starting vLLM is at, from its last log lines."""
    for line in reversed(log_tail):
        for pattern, phase in reversed(_PHASES):
            if re.search(pattern, line):
                return phase
    return "starting"


def wait_for_engine(
    url: str,
    bar: Step,
    *,
    deadline_s: float,
    look: Callable[[], str],
    key: str | None = None,
) -> ServedModel:
    """Wait until the engine generates a token.

    Args:
        url: The engine.
        bar: Told what the engine is at.
        deadline_s: `time.monotonic()` at which to give up.
        look: Called at each poll; says what the engine is at, or raises because it has ended.
        key: What the engine asks for.

    Raises:
        RemoteError: The engine does not accept the key.
        NotReadyError: Not in time.
    """
    last = "no answer"
    with VllmBackend(url, timeout_s=10.0, api_key=key) as backend:
        while time.monotonic() < deadline_s:
            bar.note(look())
            if backend.health():
                try:
                    left = max(1.0, deadline_s - time.monotonic())
                    backend.first_token(timeout_s=min(FIRST_TOKEN_TIMEOUT_S, left))
                    return backend.models()[0]
                except RemoteError as error:
                    if error.status in (401, 403):
                        raise  # no time helps
                    last = error.message
            time.sleep(POLL_S)
    raise NotReadyError(
        f"the engine at {url} has not generated a token in time ({last})",
        remedy="give it more time (AUTOSRE_READY_TIMEOUT_S), or see its log for what it waits for",
    )


def wait_for_proxy(url: str, token: str, *, deadline_s: float, look: Callable[[], str]) -> None:
    """Wait until a token has come through the proxy.

    Raises:
        NotReadyError: Not in time.
    """
    last = "no answer"
    body = {"model": "any", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < deadline_s:
            look()
            left = max(1.0, deadline_s - time.monotonic())
            try:
                answer = client.post(
                    f"{url}/v1/messages",
                    json=body,
                    headers=headers,
                    timeout=min(FIRST_TOKEN_TIMEOUT_S, left),
                )
                if answer.status_code == 200:
                    return
                last = answer.text[:300]
            except httpx.HTTPError as error:
                last = str(error)
            time.sleep(POLL_S)
    raise NotReadyError(
        f"no token has come through the proxy at {url} in time ({last})",
        remedy="see the proxy's log",
    )
