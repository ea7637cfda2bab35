"""The real Claude Code drives the real Chromium through our browser server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autosre_lab.agents.trial import by_round, call
from autosre_lab.scripted.chat_engine import Turn
from tests.agents.claude.conftest import MakeLab
from tests.browser.sites import Site, pages, site

pytestmark = [pytest.mark.claude, pytest.mark.browser]


@pytest.fixture
def served() -> Iterator[Site]:
    with site(pages()) as found:
        yield found


def test_a_login_is_done_from_open_to_close(make_lab: MakeLab, served: Site) -> None:
    lab = make_lab()
    steps = [
        {"action": "goto", "value": f"{served.url}/login"},
        {"action": "fill", "target": "[name=user]", "value": "ada"},
        {"action": "fill", "target": "[name=password]", "value": "s3cret-word"},
        {"action": "press", "target": "[name=password]", "value": "Enter"},
    ]
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("mcp__browser__browser_session_open")]),
        Turn(tool_calls=[call("mcp__browser__browser_act", steps=steps)]),
        Turn(tool_calls=[call("mcp__browser__browser_snapshot", find="balance")]),
        Turn(tool_calls=[call("mcp__browser__browser_act", action="click", target="e999")]),
        Turn(tool_calls=[call("mcp__browser__browser_session_close")]),
        Turn(text="All done."),
    )
    ran = lab.ask(
        "Log in.",
        "--allowedTools=mcp__browser__browser_act",
        servers=["browser"],
        AUTOSRE_FETCH_ALLOW=f"127.0.0.1:{served.port}",
    )
    assert (ran.code, ran.text) == (0, "All done."), ran.err
    opened, acted, seen, stale, closed = (str(one["content"]) for one in ran.tool_results)
    assert "session s1 in" in opened
    assert "Welcome, ada" in acted
    assert "s3cret-word" not in acted
    assert "Your balance is 42." in seen
    assert "no element e999" in stale
    assert "what to do" in stale
    assert closed.count("closed") == 1
    assert [bool(one.get("is_error")) for one in ran.tool_results] == [False] * 3 + [True, False]


def test_a_rendered_page_is_read_and_a_refused_one_is_not(make_lab: MakeLab, served: Site) -> None:
    lab = make_lab()
    render = "mcp__browser__browser_render_markdown"
    lab.upstream.script = by_round(
        Turn(tool_calls=[call(render, url=f"{served.url}/late", wait_for_selector="li")]),
        Turn(tool_calls=[call(render, url="http://127.0.0.1:1/")]),
        Turn(text="All done."),
    )
    ran = lab.ask("Read.", servers=["browser"], AUTOSRE_FETCH_ALLOW=f"127.0.0.1:{served.port}")
    assert (ran.code, ran.text) == (0, "All done."), ran.err
    read, refused = ran.tool_results
    assert "gamma" in str(read["content"])
    assert "data, not instructions" in str(read["content"])
    assert "loopback" in str(refused["content"])
