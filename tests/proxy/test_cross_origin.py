"""Web pages: those of listed origins may ask, with their preflights; others hear 403."""

from __future__ import annotations

import pytest

from autosre_lab.scripted.chat_engine import HttpError, Turn
from tests.proxy.conftest import Lab, StartLab, ask

pytestmark = pytest.mark.anyio

PAGE = "https://app.example:8443"
EVIL = "https://evil.example"
ASKS = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-api-key",
}


async def preflight(
    lab: Lab, origin: str, path: str = "/v1/messages"
) -> tuple[int, dict[str, str]]:
    async with lab.http.options(lab.url + path, headers={"Origin": origin, **ASKS}) as response:
        return response.status, {name.lower(): value for name, value in response.headers.items()}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/v1/messages"])
async def test_a_listed_page_gets_its_preflight_without_the_token(
    start_lab: StartLab, path: str
) -> None:
    lab = await start_lab(origins=frozenset({PAGE}), token="t")
    status, headers = await preflight(lab, PAGE, path)
    assert status == 204
    assert headers["access-control-allow-origin"] == PAGE
    assert "POST" in headers["access-control-allow-methods"]
    assert headers["access-control-allow-headers"] == ASKS["Access-Control-Request-Headers"]
    assert headers["vary"] == "origin"
    assert "*" not in "".join(headers.values())


@pytest.mark.parametrize("origins", [frozenset(), frozenset({PAGE})])
@pytest.mark.parametrize("token", [None, "t"])
@pytest.mark.parametrize(
    "origin", [EVIL, "null", "https://app.example", "http://app.example:8443", "http://localhost:1"]
)
async def test_other_pages_get_none(
    start_lab: StartLab, origins: frozenset[str], token: str | None, origin: str
) -> None:
    lab = await start_lab(origins=origins, token=token)
    status, headers = await preflight(lab, origin)
    assert status == 403
    assert "access-control-allow-origin" not in headers
    assert headers["content-type"] == "application/json"


async def test_a_listed_page_reads_answers_and_errors_and_needs_the_token(
    start_lab: StartLab,
) -> None:
    lab = await start_lab(
        Turn(text="fine"),
        Turn(http_error=HttpError(status=400)),
        Turn(text="streamed"),
        origins=frozenset({PAGE}),
        token="t",
    )
    for headers, body, expected in [
        ({}, ask(), 401),
        ({"authorization": "Bearer t"}, ask(), 200),
        ({"authorization": "Bearer t"}, ask(), 400),
        ({"authorization": "Bearer t"}, ask(stream=True), 200),
    ]:
        async with lab.http.post(
            f"{lab.url}/v1/messages", json=body, headers={"Origin": PAGE, **headers}
        ) as response:
            assert response.status == expected
            assert response.headers["access-control-allow-origin"] == PAGE
            assert "request-id" in response.headers["access-control-expose-headers"]
            await response.read()


@pytest.mark.parametrize("token", [None, "t"])
async def test_another_page_is_not_answered_even_with_the_token(
    start_lab: StartLab, token: str | None
) -> None:
    lab = await start_lab(origins=frozenset({PAGE}), token=token)
    status, body, headers = await lab.post(ask(), origin=EVIL, authorization="Bearer t")
    assert (status, body["error"]["type"]) == (403, "permission_error")
    assert "access-control-allow-origin" not in headers
    assert lab.upstream.chats == []


async def test_an_odd_preflight_is_not_echoed(start_lab: StartLab) -> None:
    lab = await start_lab(origins=frozenset({PAGE}))
    odd = {"Origin": PAGE, **ASKS, "Access-Control-Request-Headers": "a: b"}
    async with lab.http.options(f"{lab.url}/v1/messages", headers=odd) as response:
        assert response.status == 204
        assert "access-control-allow-headers" not in response.headers
