"""The guard inside vLLM's server: whatever does work asks for the key."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from autosre_lab.engine.guard.autosre_engine_guard import EngineGuard

KEY = "a-key"


def statuses(
    path: str, *headers: tuple[bytes, bytes], kind: str = "http", monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append("served")

    async def send(message: Any) -> None:
        told.append(message.get("status") or message.get("code") or message["type"])

    scope = {"type": kind, "path": path, "headers": list(headers)}
    asyncio.run(EngineGuard(app)(scope, None, send))
    return told


@pytest.mark.parametrize("path", ["/health", "/metrics", "/version", "/ping", "/tokenize"])
def test_a_state_is_told_to_everybody(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert statuses(path, monkeypatch=monkeypatch) == ["served"]


@pytest.mark.parametrize(
    "path",
    ["/invocations", "/v1/completions", "/sleep", "/health/../invocations", "/Health"],
)
def test_work_wants_the_key(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert statuses(path, monkeypatch=monkeypatch)[0] == 401
    wrong = (b"authorization", b"Bearer other")
    assert statuses(path, wrong, monkeypatch=monkeypatch)[0] == 401
    right = (b"authorization", b"Bearer a-key")
    assert statuses(path, right, monkeypatch=monkeypatch) == ["served"]


def test_a_websocket_is_closed_and_the_servers_life_is_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert statuses("/v1/realtime", kind="websocket", monkeypatch=monkeypatch) == [1008]
    assert statuses("/", kind="lifespan", monkeypatch=monkeypatch) == ["served"]
