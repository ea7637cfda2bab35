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

__all__ = ["Phases", "wait_for_engine", "wait_for_proxy", "warm_up_sizes"]

POLL_S = 0.1
FIRST_TOKEN_TIMEOUT_S = 120.0

# vLLM's own log lines, in the order in which a start goes through them; the last one seen counts.
_PHASES: tuple[tuple[str, str], ...] = (
    (r"non-default args", "reading the configuration"),
    (r"Initializing a V1 LLM engine|\(EngineCore", "starting the engine core"),
    (r"Starting to load model|Loading (?:safetensors|weights)", "loading the weights"),
    (r"Loading weights took|Model loading took", "weights are loaded"),
    (r"torch\.compile|Compiling|Dynamo bytecode", "compiling"),
    (r"KV cache size|GPU KV cache|CPU KV cache|init engine", "making the KV cache"),
    (r"Capturing CUDA graph", "capturing CUDA graphs"),
    (r"Started server process|Application startup complete", "serving, no token yet"),
)


class Phases:
    """What a starting vLLM is at, from its log; it never goes back to an earlier phase.

    Lines of several processes are mixed in the log, so the last one is not always the furthest.
    """

    def __init__(self) -> None:
        self._furthest = -1

    def reached(self, log_tail: list[str]) -> str:
        """Return in a few words what it is at, from its last log lines."""
        for number in range(len(_PHASES) - 1, self._furthest, -1):
            if any(re.search(_PHASES[number][0], line) for line in log_tail):
                self._furthest = number
                break
        return "starting" if self._furthest < 0 else _PHASES[self._furthest][1]


def warm_up_sizes(window: int) -> list[int]:
    """Return the sizes of prompts that kernels are tuned for; half of the window at most."""
    return [size for size in (16, 64, 256, 512, 1024, 2048, 4096) if size <= window // 2]


def wait_for_engine(
    url: str,
    bar: Step,
    *,
    deadline_s: float,
    look: Callable[[], str],
    key: str | None = None,
    warm_up: bool = False,
) -> ServedModel:
    """Wait until the engine generates a token.

    Args:
        url: The engine.
        bar: Told what the engine is at.
        deadline_s: `time.monotonic()` at which to give up.
        look: Called at each poll; says what the engine is at, or raises because it has ended.
        key: What the engine asks for.
        warm_up: Also have prompts of several sizes read, as a mixture of experts needs it.

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
                    served = backend.models()[0]
                    if warm_up:
                        bar.note("warming up prompts of several sizes")
                        backend.warm_up(warm_up_sizes(served.max_model_len))
                    return served
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
