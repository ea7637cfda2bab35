"""A browser service: our gate in front of Chromium, and what its client says when it cannot."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autosre_lab.browser import (
    BrowserConfig,
    BrowserlessService,
    BrowserService,
    BrowserSessions,
    act,
    browser_config,
    get_browser_url,
    parse_steps,
)
from autosre_lab.browser.gate import main as gate_main
from autosre_lab.errors import BrowserError, BrowserLostError, ConfigError
from autosre_lab.web import AddressGuard
from tests.browser.conftest import Run
from tests.browser.sites import Response, Site, site, until, wait_for

pytestmark = pytest.mark.browser

TOKEN = "gate-token"


@pytest.fixture(scope="module")
def gate(allow: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The gate as a Pod runs it, for at most two clients; its base URL."""
    folder = tmp_path_factory.mktemp("gate")
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "autosre_lab.browser.gate", "--port", "0", "--most", "2"),
                *("--profiles", str(folder / "profiles")),
            ],
            env={**os.environ, "AUTOSRE_BROWSER_TOKEN": TOKEN, "AUTOSRE_FETCH_ALLOW": allow},
            stderr=out,
        )
    try:
        wait_for(lambda: "on port" in log.read_text(), "the gate", within_s=30)
        yield f"http://127.0.0.1:{log.read_text().rpartition('on port ')[2].split()[0]}"
    finally:
        process.terminate()
        assert process.wait(20) == 0
        assert list((folder / "profiles").iterdir()) == []


def ask(
    base: str, path: str, *, token: str = TOKEN, **headers: str
) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=10)
    shown = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("GET", path, headers={**shown, **headers})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, said


def test_only_who_shows_the_token_gets_further_than_health(gate: str) -> None:
    assert ask(gate, "/health", token="")[0] == 200
    for token in ("", "wrong", f"{TOKEN}x"):
        for path in ("/json/version", "/pressure", "/devtools/browser"):
            assert ask(gate, path, token=token)[0] == 401
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    assert ask(gate, "/devtools/browser", token="", **upgrade)[0] == 401
    assert ask(gate, f"/json/version?token={TOKEN}", token="")[0] == 401
    status, said = ask(gate, "/json/version")
    assert status == 200
    assert TOKEN not in json.dumps(said)
    assert ask(gate, "/json/new")[0] == 404
    # A page in the very browser, or in a person's, asks with its origin.
    assert ask(gate, "/json/version", Origin="http://evil.test")[0] == 403


def test_each_client_has_a_browser_of_its_own_as_long_as_it_is_connected(
    run: Run, gate: str, config: BrowserConfig, good: Site, refused: Site
) -> None:
    service = BrowserService(gate, token=TOKEN)
    remote = replace(config, url=gate, token=TOKEN)

    async def scenario() -> None:
        assert (await service.health()).browser.startswith("Chrome/")
        async with BrowserSessions(remote, AddressGuard(allow=config.allow)) as sessions:
            await sessions.open()
            async with sessions.using() as one:
                steps = [{"action": "goto", "value": f"{good.url}/downloads"}]
                assert "Files" in (await act(one, parse_steps(steps))).page
                click = [{"action": "click", "target": "a"}]
                assert "not kept" in (await act(one, parse_steps(click))).page
            assert sessions.connection is not None
            assert sessions.connection.remote
            async with BrowserSessions(remote, AddressGuard()) as others:
                await others.open()
                pressure = await service.pressure()
                assert pressure is not None
                assert (pressure.running, pressure.most, pressure.full) == (2, 2, True)
                with pytest.raises(BrowserError, match="busy: 2 of 2"):
                    async with BrowserSessions(remote, AddressGuard()) as third:
                        await third.open()
                # The gate guards by itself: this client's own guard allows nothing less.
                async with others.using() as one:
                    page = one.tab().page
                    await page.set_content("<p>hello</p>")
                    socket = f"new WebSocket('ws://127.0.0.1:{refused.port}/x')"
                    await page.evaluate(f"() => {{ {socket} }}")
        await until(lambda: ask(gate, "/health", token="")[1]["running"] == 0)

    run(scenario())
    assert refused.hits == []


def test_a_service_that_ends_the_connection_is_told(
    run: Run, gate: str, config: BrowserConfig
) -> None:
    async def scenario() -> None:
        remote = replace(config, url=gate, token=TOKEN)
        async with BrowserSessions(remote, AddressGuard()) as sessions:
            await sessions.open()
            connection = sessions.connection
            assert connection is not None
            cdp = await connection.browser.new_browser_cdp_session()
            asking = asyncio.ensure_future(cdp.send("Browser.close"))
            await until(lambda: connection.ended)
            asking.cancel()
            with pytest.raises(BrowserLostError, match="service closed the connection"):
                async with sessions.using():
                    pass
            await sessions.open()

    run(scenario())


def test_what_a_client_is_told_when_there_is_no_service(run: Run, gate: str) -> None:
    with pytest.raises(BrowserError, match="refuses the token") as caught:
        run(BrowserService(gate, token="wrong").health())
    assert "AUTOSRE_BROWSER_TOKEN" in caught.value.remedy
    with pytest.raises(BrowserError, match="does not answer") as caught:
        run(BrowserService("http://127.0.0.1:9").health())
    assert "AUTOSRE_BROWSER_URL" in caught.value.remedy
    with site({"/json/version": Response("<h1>hello</h1>")}) as other:
        with pytest.raises(BrowserError, match="no browser service"):
            run(BrowserService(other.url).health())
        assert run(BrowserService(other.url).pressure()) is None


def test_browserless_is_asked_in_its_own_words(run: Run) -> None:
    pressure = {"pressure": {"running": 3, "queued": 1, "maxConcurrent": 4, "isAvailable": True}}
    version = {"Browser": "Chrome/1", "webSocketDebuggerUrl": "ws://0.0.0.0:1/devtools/browser/x"}
    pages = {
        "/pressure": Response(json.dumps(pressure), kind="application/json"),
        "/json/version": Response(json.dumps(version), kind="application/json"),
    }
    with site({**pages}) as served:
        service = BrowserlessService(served.url, token="t")
        found = run(service.pressure())
        assert (found.running, found.most, found.queued, found.full) == (3, 4, 1, False)
        assert run(service.health()).ws_url == f"ws://127.0.0.1:{served.port}/"
        assert service.headers == {"Authorization": "Bearer t"}


def test_a_gate_for_everybody_wants_a_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTOSRE_BROWSER_TOKEN", raising=False)
    assert gate_main(["--host", "0.0.0.0"]) == 2
    assert "AUTOSRE_BROWSER_TOKEN" in capsys.readouterr().err


def test_the_environment_says_which_browser(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    environ = {
        "AUTOSRE_STATE_DIR": str(tmp_path),
        "AUTOSRE_BROWSER_URL": "http://10.96.0.33:3010/",
        "AUTOSRE_BROWSER_TOKEN_FILE": str(token),
        "AUTOSRE_BROWSER_IDLE_S": "30",
        "AUTOSRE_BROWSER_RECORDING_TTL": "0.5",
        "RECORDING_PATH": "/recordings",
        "AUTOSRE_CHROMIUM_SANDBOX": "0",
        "AUTOSRE_FETCH_ALLOW": "wiki.lab:8080",
    }
    found = browser_config(environ)
    assert (found.url, found.token, found.idle_s) == ("http://10.96.0.33:3010", "abc", 30.0)
    assert found.sandbox is False
    assert (found.recordings, found.recording_ttl_h) == (Path("/recordings"), 0.5)
    assert get_browser_url(environ) == found.url
    assert get_browser_url({"HOME": str(tmp_path)}) == ""
    assert "abc" not in repr(found)
    assert [target.host for target in found.allow.targets] == ["wiki.lab"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTOSRE_BROWSER_URL", "10.96.0.33:3010"),
        ("AUTOSRE_BROWSER_URL", "http://host:1/?token=x"),
        ("AUTOSRE_BROWSER_KIND", "firefox"),
        ("AUTOSRE_BROWSER_SESSIONS", "0"),
        ("AUTOSRE_BROWSER_IDLE_S", "soon"),
        ("AUTOSRE_CHROMIUM_SANDBOX", "no"),
        ("RECORDING_PATH", "films"),
        ("AUTOSRE_BROWSER_RECORDING_TTL", "-1"),
        ("AUTOSRE_BROWSER_TOKEN_FILE", "/no/such/file"),
    ],
)
def test_what_cannot_be_meant_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        browser_config({name: value, "HOME": "/tmp"})
