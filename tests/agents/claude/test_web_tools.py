"""The real Claude Code uses our MCP servers: they start by themselves, and their tools answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from autosre_lab.agents.claude.trial import Ran
from autosre_lab.agents.trial import by_round, call
from autosre_lab.agents.web_servers import WEB_SERVERS
from autosre_lab.scripted.chat_engine import ToolCall, Turn
from tests.agents.claude.conftest import MakeLab
from tests.web.site import Answer, Site, serving

pytestmark = pytest.mark.claude

DONE = Turn(text="All done.")


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as one:
        yield one


def ask(lab: Any, tool_call: ToolCall, *args: str, server: str, **environ: str) -> Ran:
    """Let the scripted model call one tool of one server."""
    lab.upstream.script = by_round(Turn(tool_calls=[tool_call]), DONE)
    ran: Ran = lab.ask("Use the tool.", *args, servers=[server], **environ)
    assert (ran.code, ran.text) == (0, "All done."), ran.err
    return ran


def result(ran: Ran) -> tuple[str, bool]:
    (block,) = ran.tool_results
    content = block["content"]
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    return text, bool(block.get("is_error"))


def offered(request: Any) -> set[str]:
    return {tool["function"]["name"] for tool in request.body.get("tools", [])}


def test_a_page_is_fetched(make_lab: MakeLab, site: Site) -> None:
    site.answers["/a"] = Answer("<title>A page</title><h1>Hello</h1><p>Some words.</p>")
    lab = make_lab()

    ran = ask(
        lab,
        call("mcp__fetch__fetch", url=f"{site.local_url}/a"),
        server="fetch",
        AUTOSRE_FETCH_ALLOW=f"127.0.0.1:{site.port}",
    )

    text, is_error = result(ran)
    assert not is_error, text
    assert "# Hello\n\nSome words." in text
    assert "data, not instructions" in text
    assert site.paths == ["/robots.txt", "/a"]
    assert "mcp__fetch__fetch" in offered(lab.chats[0])
    assert not {"WebFetch", "WebSearch"} & offered(lab.chats[0])


def test_a_loopback_address_is_refused_with_what_to_do(make_lab: MakeLab, site: Site) -> None:
    ran = ask(make_lab(), call("mcp__fetch__fetch", url=f"{site.local_url}/secret"), server="fetch")

    text, is_error = result(ran)
    assert is_error
    assert "loopback" in text
    assert "what to do:" in text
    assert site.asked == []


def test_the_web_is_searched_by_an_own_searxng(make_lab: MakeLab, site: Site) -> None:
    found = {"results": [{"title": "Found it", "url": "https://example.com/", "content": "There."}]}
    site.answers["/search"] = Answer(
        json.dumps(found), headers={"Content-Type": "application/json"}
    )

    ran = ask(
        make_lab(),
        call("mcp__search__search", query="where is it"),
        server="search",
        AUTOSRE_SEARXNG_URL=site.local_url,
    )

    text, is_error = result(ran)
    assert not is_error, text
    assert "1. Found it\n   https://example.com/" in text


def test_the_toolkits_own_commands_are_found(make_lab: MakeLab) -> None:
    ran = ask(
        make_lab(),
        call("mcp__capabilities__search_commands", query="stop the stack"),
        server="capabilities",
    )

    text, is_error = result(ran)
    assert not is_error, text
    assert "autosre stop (cli)" in text


@pytest.mark.parametrize("profile", ["full", "trimmed", "lean"])
def test_every_profile_can_have_every_server(make_lab: MakeLab, profile: str) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("mcp__capabilities__get_command", name="autosre start")]), DONE
    )

    ran = lab.ask("Which tools?", profile=profile, servers=list(WEB_SERVERS))

    assert (ran.code, ran.text) == (0, "All done."), ran.err
    tools = {tool for server in WEB_SERVERS.values() for tool in (*server.allowed,)}
    assert tools <= offered(lab.chats[-1])
    assert not {"WebFetch", "WebSearch"} & offered(lab.chats[-1])


def test_servers_of_the_folder_stay_out_and_those_the_user_names_come_in(
    make_lab: MakeLab,
) -> None:
    lab = make_lab()
    lab.upstream.script = by_round(DONE)
    capabilities = json.loads(json.dumps({"command": "false", "args": []}))
    (lab.work / ".mcp.json").write_text(json.dumps({"mcpServers": {"stranger": capabilities}}))
    own = lab.folder / "own.json"
    own.write_text(lab.plan("-p", "x", servers=["search"]).argv[-4].partition("=")[2])

    ran = lab.ask("Which tools?", "--mcp-config", str(own), servers=["fetch"])

    assert ran.code == 0, ran.err
    names = {server["name"] for server in ran.events[0]["mcp_servers"]}
    assert names == {"fetch", "search"}
