"""Searches in another process: the same outcomes, none of its owner's secrets, and it can end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from autosre_lab.web import SearchRules
from autosre_lab.web.search_process import SearchProcess
from tests.support.search_source import PAGES, found
from tests.web.site import Answer, Site

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def search(
    site: Site, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> AsyncIterator[SearchProcess]:
    site.answers["/search"] = found(*PAGES)
    monkeypatch.setenv("AUTOSRE_SEARXNG_URL", site.local_url)
    monkeypatch.setenv("AUTOSRE_PROXY_TOKEN", "s3cret")
    one = SearchProcess()
    yield one
    await one.close()


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_a_search_is_answered_and_the_process_knows_no_secret(
    search: SearchProcess, site: Site
) -> None:
    rules = SearchRules(blocked=("trains.example",), region="de-de")
    first, second, third = await asyncio.gather(
        search.search("kestrels", rules),
        search.search(7, rules),
        search.search("more", SearchRules(max_uses=1), used=1),
    )
    assert [(one.title, one.url, one.snippet) for one in first.results] == list(PAGES[:2])
    assert (first.code, first.backend) == ("results", "searxng")
    assert "language=de-DE" in site.paths[0]
    assert (second.code, third.code) == ("invalid_tool_input", "max_uses_exceeded")
    assert search.pid is not None
    assert b"s3cret" not in environment_of(search.pid)


async def test_a_process_that_was_ended_is_an_outcome_and_the_next_search_works(
    search: SearchProcess, site: Site
) -> None:
    site.answers["/search"] = Answer("{}", 429)
    assert (await search.search("a", SearchRules())).code == "too_many_requests"
    pid = search.pid
    assert pid is not None
    asked = asyncio.create_task(search.search("b", SearchRules()))
    os.kill(pid, 9)
    outcome = await asked
    assert (outcome.code, outcome.results) in (("unavailable", ()), ("too_many_requests", ()))
    site.answers["/search"] = found(*PAGES)
    assert (await search.search("c", SearchRules())).code == "results"
    assert search.pid != pid


async def test_settings_that_make_no_search_are_told(
    monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    monkeypatch.setenv("AUTOSRE_SEARCH_BACKEND", "searxng")
    monkeypatch.delenv("AUTOSRE_SEARXNG_URL", raising=False)
    search = SearchProcess()
    outcome = await search.search("a", SearchRules())
    await search.close()
    assert outcome.code == "unavailable"
    assert "AUTOSRE_SEARXNG_URL" in outcome.message


async def test_one_that_hangs_is_given_up_and_replaced(
    search: SearchProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    import signal

    assert (await search.search("a", SearchRules())).code == "results"
    pid = search.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr("autosre_lab.web.search_process.LONGEST_S", 0.2)
    assert (await search.search("b", SearchRules())).code == "unavailable"
    monkeypatch.undo()
    assert search.pid is None
