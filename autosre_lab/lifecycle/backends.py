"""What can serve: the stacks of both places, and engines that somebody else runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from autosre_lab.engine import VllmBackend
from autosre_lab.errors import AutosreError, RemoteError
from autosre_lab.lifecycle.place import PLACES
from autosre_lab.lifecycle.verbs import status, wait_ready

__all__ = ["EngineFacts", "EngineState", "engine_at", "engines"]

EngineState = Literal[
    "ready", "not ready", "stopped", "not reachable", "wants a key", "refuses the key", "not vLLM"
]

_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """An engine, as it answers now.

    Attributes:
        name: ``local``, ``cluster``, or ``elsewhere``: somebody else runs it.
        url: Where it is; "" where nothing runs.
        state: "ready" where it serves a model; the stacks' after a first token.
        model: The model's served name.
        window: Its context window, tokens; None where it is not known.
        version: vLLM's.
        why: What is the matter; "" where nothing is.
        remedy: What to do about it, or how it is put to use.
    """

    name: str
    url: str
    state: EngineState
    model: str = ""
    window: int | None = None
    version: str = ""
    why: str = ""
    remedy: str = ""


def engines(urls: Sequence[str] = (), *, key: str | None = None) -> list[EngineFacts]:
    """Return the stack of each place, and the engines at the addresses.

    Args:
        urls: Of engines that somebody else runs.
        key: What they want to be shown, if anything; shown to no other.

    Raises:
        ConfigError: An address is none.
    """
    return [*(_stack_of(place) for place in PLACES), *(engine_at(url, key=key) for url in urls)]


def engine_at(
    url: str, *, key: str | None = None, name: str = "elsewhere", timeout_s: float = _PATIENCE_S
) -> EngineFacts:
    """Ask an engine what it serves; nothing is generated.

    Args:
        url: Its address; ``host:port`` is enough.
        key: What it wants to be shown, if anything.
        name: What it is called in the answer.
        timeout_s: Seconds that each of its answers may take.

    Raises:
        ConfigError: The address is none.
    """
    with VllmBackend(url, timeout_s=timeout_s, api_key=key) as engine:
        try:
            model = engine.first_model()
        except RemoteError as error:
            return _refused(name, engine.url, error, key)
        try:
            version = engine.version()
        except RemoteError:
            version = ""
        return EngineFacts(
            name=name,
            url=engine.url,
            state="ready",
            model=model.id,
            window=model.max_model_len,
            version=version,
            remedy=f"autosre proxy 8011 {engine.url}, then autosre claude --url "
            "http://127.0.0.1:8011"
            if name == "elsewhere"
            else "autosre claude",
        )


def _refused(name: str, url: str, error: RemoteError, key: str | None) -> EngineFacts:
    if error.status in (401, 403):
        return EngineFacts(
            name=name,
            url=url,
            state="refuses the key" if key else "wants a key",
            why=f"it answered {error.status}",
            remedy="set AUTOSRE_ENGINE_KEY to the engine's key, or give --engine-key-file",
        )
    if error.status == 0:
        return EngineFacts(
            name=name,
            url=url,
            state="not reachable",
            why=error.message,
            remedy="start it, or correct its address; for one behind SSH: "
            "ssh -L 8010:127.0.0.1:8010 HOST",
        )
    if error.status == 200 and "serves no model" not in error.message:
        return EngineFacts(
            name=name,
            url=url,
            state="not vLLM",
            why="its /v1/models names no model with its window, max_model_len",
            remedy="give the address of a vLLM: the proxy asks for the window and counts prompts "
            "with /tokenize",
        )
    return EngineFacts(
        name=name, url=url, state="not ready", why=error.message, remedy=error.remedy
    )


def _stack_of(place: str) -> EngineFacts:
    try:
        found = status(place=place)
        if found.state == "ready":
            stack = wait_ready(place=place, timeout_s=_PATIENCE_S)
            return engine_at(stack.engine_url, key=stack.engine_key, name=place)
    except AutosreError as error:
        return EngineFacts(
            name=place, url="", state="not reachable", why=error.message, remedy=error.remedy
        )
    if found.state == "stopped":
        return EngineFacts(
            name=place, url="", state="stopped", remedy=f"autosre start --place {place}"
        )
    causes = [one.cause for one in found.services.values() if one.cause]
    return EngineFacts(
        name=place,
        url="",
        state="not ready",
        why="; ".join(causes) or f"it is {found.state}",
        remedy=f"autosre status --place {place}",
    )
