"""One Chromium for all tests here, and the sites it visits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from autosre_lab.browser import BrowserConfig, BrowserSession, BrowserSessions, act, parse_steps
from autosre_lab.web import AddressGuard, AllowList
from tests.browser.sites import Site, attack_pages, pages, site

Result = TypeVar("Result")
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Run a coroutine in the loop in which the browser lives, which stays open between tests."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(120)

    yield wait
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def good() -> Iterator[Site]:
    with site(pages()) as served:
        yield served


@pytest.fixture(scope="session")
def other() -> Iterator[Site]:
    """The same pages under another host, whose frames Chromium puts into another process."""
    with site(pages(), host="127.0.0.2") as served:
        yield served


@pytest.fixture(scope="session")
def refused() -> Iterator[Site]:
    """A server that no page may reach."""
    with site({}) as served:
        yield served


@pytest.fixture(scope="session")
def evil(refused: Site) -> Iterator[Site]:
    with site(attack_pages(refused.port)) as served:
        yield served


@pytest.fixture(scope="session")
def evil_other(refused: Site) -> Iterator[Site]:
    with site(attack_pages(refused.port), host="127.0.0.2") as served:
        yield served


@pytest.fixture(scope="session")
def allow(good: Site, other: Site, evil: Site, evil_other: Site) -> str:
    """What AUTOSRE_FETCH_ALLOW opens: these sites, and nothing else of loopback."""
    return ",".join(f"{one.host}:{one.port}" for one in (good, other, evil, evil_other))


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory, allow: str) -> BrowserConfig:
    folder = tmp_path_factory.mktemp("browser")
    return BrowserConfig(
        folder=folder / "files", recordings=folder / "films", allow=AllowList.parse(allow)
    )


@pytest.fixture(scope="session")
def sessions(run: Run, config: BrowserConfig) -> Iterator[BrowserSessions]:
    """The sessions of the Chromium that the tests share."""

    async def begin() -> BrowserSessions:
        # Tests that open their own must not be refused for what another has left.
        opened = BrowserSessions(replace(config, sessions=50), AddressGuard(allow=config.allow))
        return await opened.__aenter__()

    opened = run(begin())
    yield opened
    run(opened.__aexit__(None, None, None))


class Visitor:
    """A session as a test drives it."""

    def __init__(self, run: Run, sessions: BrowserSessions, session: BrowserSession) -> None:
        self.run = run
        self.sessions = sessions
        self.session = session

    def do(self, *steps: dict[str, str], tab: str | None = None) -> str:
        async def doing() -> str:
            async with self.sessions.using(self.session.name) as one:
                outcome = await act(one, parse_steps(steps), tab=tab)
                return f"{outcome.done}\n{outcome.page}"

        return str(self.run(doing()))

    def goto(self, url: str) -> str:
        return self.do({"action": "goto", "value": url})

    def see(self) -> str:
        async def seeing() -> str:
            async with self.sessions.using(self.session.name) as one:
                return await one.tab().snapshot()

        return str(self.run(seeing()))

    def ref(self, text: str) -> str:
        """Return the ref in the one line of the snapshot that holds a text."""
        (line,) = (line for line in self.see().splitlines() if text in line)
        return line.partition("[ref=")[2].partition("]")[0]

    def click(self, text: str) -> str:
        return self.do({"action": "click", "target": self.ref(text)})


@pytest.fixture
def visitor(run: Run, sessions: BrowserSessions) -> Iterator[Visitor]:
    session = run(sessions.open())
    yield Visitor(run, sessions, session)
    if session.name in sessions.names():
        run(sessions.close(session.name))


@pytest.fixture
def films(config: BrowserConfig) -> Path:
    return config.recordings
