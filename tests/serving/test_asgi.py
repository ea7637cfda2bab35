from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.serving.asgi import guarded
from autosre_lab.serving.key_file import create_key, revoke_key
from autosre_lab.serving.keys import KeyRing


async def app(scope: Any, receive: Any, send: Any) -> None:
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


def ask(
    headers: list[tuple[bytes, bytes]], *bodies: bytes, token: str | None = "t", most: int = 1000
) -> int | None:
    """Return the status of the answer, None where there was none."""
    sent: list[Any] = []
    waiting = [
        {"type": "http.request", "body": body, "more_body": at + 1 < len(bodies)}
        for at, body in enumerate(bodies or (b"",))
    ]

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": headers}

    async def run() -> None:
        await guarded(app, token=token, max_body_bytes=most)(scope, receive, send)

    asyncio.run(run())
    return sent[0]["status"] if sent else None


BEARER = (b"authorization", b"Bearer t")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([BEARER], 200),
        ([(b"x-api-key", b"t")], 200),
        ([], 401),
        ([(b"authorization", b"Bearer \xff")], 401),
        ([BEARER, BEARER], 401),
        ([BEARER, (b"origin", b"https://evil.example")], 403),
    ],
)
def test_the_token_is_asked_for(headers: list[tuple[bytes, bytes]], status: int) -> None:
    assert ask(headers) == status


def test_without_a_token_only_loopback_names_get_in() -> None:
    assert ask([(b"host", b"127.0.0.1:1")], token=None) == 200
    assert ask([(b"host", b"rebound.example")], token=None) == 403
    assert ask([(b"host", b"[")], token=None) == 400
    assert ask([(b"host", b"localhost"), (b"host", b"rebound.example")], token=None) != 200


def test_a_body_has_a_largest_size_however_it_is_sent() -> None:
    assert ask([BEARER, (b"content-length", b"11")], b"x" * 11, most=10) == 413
    assert ask([BEARER], b"x" * 6, b"x" * 6, most=10) is None
    assert ask([BEARER], b"x" * 5, b"x" * 5, most=10) == 200


def test_a_key_is_held_to_its_limits_and_named_server(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    mine = create_key(keys, "mine", servers=["mcp"], requests_per_minute=1).secret
    other = create_key(keys, "other", servers=["proxy"]).secret
    gate = guarded(app, token="t", keys=KeyRing(keys))

    def status(secret: str, method: str = "POST") -> tuple[int, dict[bytes, bytes]]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {secret}".encode())]
        scope = {"type": "http", "method": method, "headers": headers}

        async def run() -> None:
            await gate(scope, receive, send)

        asyncio.run(run())
        return sent[0]["status"], dict(sent[0]["headers"])

    assert [status(one)[0] for one in ("t", mine, other, "autosre-x")] == [200, 200, 403, 401]
    said, headers = status(mine)
    assert (said, 1 <= int(headers[b"retry-after"]) <= 60) == (429, True)
    assert status(mine, "GET")[0] == 200  # a stream that only waits
    revoke_key(keys, "mine")
    assert status(mine, "GET")[0] == 401
