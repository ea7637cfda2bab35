"""Browsers end with their owners, sessions with their browsers, and everybody is told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from autosre_lab.browser import (
    BrowserConfig,
    BrowserSessions,
    LocalChromium,
    SessionOptions,
    act,
    find_chromium,
    list_recordings,
    parse_steps,
)
from autosre_lab.browser.chromium import chromium_arguments, delete_left_profiles
from autosre_lab.errors import BrowserError, BrowserLostError, ConfigError
from autosre_lab.web import AddressGuard
from tests.browser.conftest import Run
from tests.browser.sites import Site, until, wait_for

pytestmark = pytest.mark.browser

OWNER = """
import asyncio, sys
from autosre_lab.browser import BrowserConfig, BrowserSessions
from autosre_lab.web import AddressGuard
from pathlib import Path

async def main():
    folder = Path(sys.argv[1])
    config = BrowserConfig(folder=folder, recordings=folder)
    async with BrowserSessions(config, AddressGuard()) as sessions:
        await sessions.open()
        print(sessions.connection.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path) -> None:
    # Longer than what Chromium's own socket has room for, as temporary folders sometimes are.
    tmp_path = tmp_path / ("a" * 60)
    tmp_path.mkdir()
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert owner.stdout is not None
    browser = psutil.Process(int(owner.stdout.readline()))
    tree = [browser, *browser.children(recursive=True)]
    tree += psutil.Process(owner.pid).children(recursive=True)
    assert len(tree) > 4
    profiles = list(tmp_path.glob("autosre-chromium-*"))
    assert profiles
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_for(
        lambda: not [one for one in tree if _lives(one)], "the end of every process", within_s=15
    )
    delete_left_profiles(tmp_path)
    assert list(tmp_path.glob("autosre-chromium-*")) == []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_browser_killed_in_the_middle_is_told_and_the_next_call_works(
    run: Run, config: BrowserConfig, good: Site
) -> None:
    async def scenario() -> None:
        async with BrowserSessions(config, AddressGuard(allow=config.allow)) as sessions:
            first = await sessions.open()
            async with sessions.using() as one:
                await act(one, parse_steps([{"action": "goto", "value": f"{good.url}/"}]))
            connection = sessions.connection
            assert connection is not None
            assert connection.pid is not None

            async def waiting() -> None:
                async with sessions.using() as one:
                    await act(one, parse_steps([{"action": "wait_for", "value": "never"}]))

            middle = asyncio.create_task(waiting())
            await asyncio.sleep(0.3)
            os.kill(connection.pid, signal.SIGKILL)
            with pytest.raises(BrowserLostError, match="the browser ended") as caught:
                await middle
            assert "browser_session_open" in caught.value.remedy
            with pytest.raises(BrowserLostError, match=f"session {first.name} is gone"):
                async with sessions.using():
                    pass
            again = await sessions.open()
            async with sessions.using(again.name) as one:
                steps = parse_steps([{"action": "goto", "value": f"{good.url}/"}])
                assert "Home" in (await act(one, steps)).page

    run(scenario())


def test_a_page_that_crashes_is_told_and_its_session_goes_on(
    run: Run, sessions: BrowserSessions, good: Site
) -> None:
    async def scenario() -> None:
        session = await sessions.open()
        async with sessions.using(session.name) as one:
            cdp = await one.context.new_cdp_session(one.tab().page)
            crashed = asyncio.Event()
            one.tab().page.on("crash", lambda _: crashed.set())
            asking = asyncio.ensure_future(cdp.send("Page.crash"))
            await asyncio.wait_for(crashed.wait(), 10)
            asking.cancel()
            with pytest.raises(BrowserError, match="crashed"):
                one.tab()
        async with sessions.using(session.name) as one:
            steps = parse_steps([{"action": "goto", "value": f"{good.url}/"}])
            assert "Home" in (await act(one, steps)).page
        await sessions.close(session.name)

    run(scenario())


def test_an_idle_session_is_closed_and_then_the_browser(run: Run, config: BrowserConfig) -> None:
    async def scenario() -> None:
        hasty = replace(config, idle_s=1.0)
        async with BrowserSessions(hasty, AddressGuard()) as sessions:
            session = await sessions.open()
            connection = sessions.connection
            assert connection is not None
            await until(lambda: connection.ended)
            with pytest.raises(BrowserLostError, match="nobody used it for 1 s"):
                async with sessions.using(session.name):
                    pass
            assert sessions.connection is None
            await sessions.open()

    run(scenario())


def test_there_is_an_end_to_sessions_and_an_unnamed_one_must_be_the_only_one(
    run: Run, config: BrowserConfig
) -> None:
    async def scenario() -> None:
        async with BrowserSessions(replace(config, sessions=2), AddressGuard()) as sessions:
            with pytest.raises(BrowserError, match="no session is open"):
                async with sessions.using():
                    pass
            await sessions.open()
            await sessions.open()
            with pytest.raises(BrowserError, match="2 of 2 sessions"):
                await sessions.open()
            with pytest.raises(BrowserError, match="several sessions"):
                async with sessions.using():
                    pass
            with pytest.raises(BrowserError, match="no session s9"):
                async with sessions.using("s9"):
                    pass

    run(scenario())


def test_a_session_is_filmed_and_no_password_is_typed_into_it(
    run: Run, sessions: BrowserSessions, good: Site, films: Path
) -> None:
    async def scenario() -> None:
        session = await sessions.open(SessionOptions(record=True))
        async with sessions.using(session.name) as one:
            steps = [{"action": "goto", "value": f"{good.url}/login"}]
            await act(one, parse_steps(steps))
            password = "input[type=password]"
            for step in (
                {"action": "fill", "target": password, "value": "x"},
                {"action": "type", "target": password, "value": "x"},
            ):
                with pytest.raises(BrowserError, match="films hold no passwords"):
                    await act(one, parse_steps([step]))
            await one.tab().page.focus(password)
            with pytest.raises(BrowserError, match="films hold no passwords"):
                await act(one, parse_steps([{"action": "type", "value": "x"}]))
            assert await one.tab().page.input_value(password) == ""
        assert all(one.running for one in list_recordings(films))
        closed = await sessions.close(session.name)
        (film,) = closed.recordings
        assert film.read_bytes()[:4] == b"\x1a\x45\xdf\xa3"  # EBML: a webm file
        assert film.stat().st_size > 1000
        assert [one.running for one in list_recordings(films) if one.path == film] == [False]

    run(scenario())


def test_a_kept_login_is_there_in_another_session_but_never_in_a_film(
    run: Run, sessions: BrowserSessions, good: Site
) -> None:
    async def scenario() -> None:
        session = await sessions.open()
        async with sessions.using(session.name) as one:
            fields = [("[name=user]", "ada"), ("[name=password]", "s3cret-word")]
            steps = [{"action": "goto", "value": f"{good.url}/login"}]
            steps += [{"action": "fill", "target": at, "value": text} for at, text in fields]
            await act(one, parse_steps([*steps, {"action": "press", "value": "Enter"}]))
        await sessions.close(session.name, keep_login="bank")
        kept = sessions.config.folder / "logins" / "bank.json"
        assert kept.stat().st_mode & 0o077 == 0
        again = await sessions.open(SessionOptions(login="bank"))
        async with sessions.using(again.name) as one:
            steps = [{"action": "goto", "value": f"{good.url}/account"}]
            assert "Welcome, ada" in (await act(one, parse_steps(steps))).page
        await sessions.close(again.name)
        with pytest.raises(ConfigError, match="bank"):
            await sessions.open(SessionOptions(login="bonk"))

    run(scenario())
    with pytest.raises(ConfigError, match="not recorded"):
        SessionOptions(login="bank", record=True)


def test_a_chromium_that_is_not_there_or_does_not_start_says_what_to_do(
    run: Run, tmp_path: Path
) -> None:
    empty = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    with pytest.raises(BrowserError, match="no Chromium") as caught:
        find_chromium(environ=empty)
    assert "apt-get install chromium" in caught.value.remedy
    with pytest.raises(ConfigError, match="AUTOSRE_CHROMIUM"):
        find_chromium("/no/such/program", environ=empty)
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho 'No usable sandbox!' >&2; exit 3\n")
    broken.chmod(0o755)
    assert find_chromium(environ=empty) == broken
    with pytest.raises(BrowserError, match="exit code 3") as caught:
        run(LocalChromium(executable=broken).start())
    assert "AUTOSRE_CHROMIUM_SANDBOX" in caught.value.remedy


def test_loopback_goes_through_the_proxy_and_webrtc_does_not_go_around_it(tmp_path: Path) -> None:
    arguments = chromium_arguments(profile=tmp_path, proxy_url="http://127.0.0.1:9", sandbox=True)
    assert "--proxy-bypass-list=<-loopback>" in arguments
    assert "--force-webrtc-ip-handling-policy=disable_non_proxied_udp" in arguments
    assert "--no-sandbox" not in arguments
