"""Claude Code's own WebSearch and WebFetch, which our proxy answers: each supported version."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.agents.claude.trial import ClaudeTrial, trial
from autosre_lab.agents.trial import TOKEN, by_round, call
from autosre_lab.scripted.chat_engine import Turn
from tests.agents.claude.conftest import EACH_VERSION
from tests.support.search_source import PAGES, LocalSearch, local_search
from tests.web.site import Answer, serving

pytestmark = [pytest.mark.claude, EACH_VERSION]

SUMMARY = "Kestrels hover over fields [1]."
MAIN = by_round(
    Turn(tool_calls=[call("WebSearch", query="kestrels", allowed_domains=["birds.example"])]),
    Turn(text="They hover."),
)


@pytest.fixture
def source() -> Iterator[LocalSearch]:
    with local_search() as one:
        yield one


@pytest.fixture
def lab(claude_code: Path, tmp_path: Path, source: LocalSearch) -> Iterator[ClaudeTrial]:
    with trial(claude_code, tmp_path, search=source) as one:
        one.upstream.script = script
        yield one


def script(body: Mapping[str, Any]) -> Turn:
    return Turn(text=SUMMARY) if "results of a web search" in str(body["messages"]) else MAIN(body)


def plain(lab: ClaudeTrial, *args: str) -> list[dict[str, Any]]:
    """Run Claude Code without our launcher, as somebody who only knows the proxy's address."""
    done = subprocess.run(
        [lab.executable, "-p", "Search.", "--output-format=stream-json", "--verbose", *args],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(lab.folder),
            "CLAUDE_CONFIG_DIR": str(lab.folder / "plain"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "ANTHROPIC_BASE_URL": lab.proxy_url,
            "ANTHROPIC_AUTH_TOKEN": TOKEN,
        },
        cwd=lab.work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return [json.loads(line) for line in done.stdout.splitlines()]


def results_of(events: list[dict[str, Any]]) -> list[str]:
    return [
        str(block["content"])
        for event in events
        if event["type"] == "user"
        for block in event["message"]["content"]
        if block["type"] == "tool_result"
    ]


def test_a_plain_claude_code_gets_links_and_a_summary(
    lab: ClaudeTrial, source: LocalSearch
) -> None:
    events = plain(lab, "--allowedTools=WebSearch")
    assert events[-1]["result"] == "They hover."
    (result,) = results_of(events)
    assert PAGES[0][1] in result
    assert PAGES[1][1] in result
    assert PAGES[2][1] not in result
    assert SUMMARY in result
    assert source.queries == ["site:birds.example kestrels"]


def test_a_search_that_fails_is_told_as_such(lab: ClaudeTrial, source: LocalSearch) -> None:
    source.site.answers["/search"] = Answer("{}", 429)
    (result,) = results_of(plain(lab, "--allowedTools=WebSearch"))
    assert "too_many_requests" in result
    assert "takes no more searches" in result
    # The question and what follows it; nobody was asked to make results up.
    assert len(lab.chats) == 2


CERTIFICATE = Path(__file__).with_name("loopback.pem")
"""For 127.0.0.1 and no other: WebFetch makes https of every URL."""


def test_a_page_is_fetched_and_summed_up_by_the_served_model(lab: ClaudeTrial) -> None:
    with serving(CERTIFICATE) as site:
        site.answers["/birds"] = Answer("<h1>Kestrels</h1><p>They hover over fields.</p>")
        url = f"https://127.0.0.1:{site.port}/birds"
        main = by_round(
            Turn(tool_calls=[call("WebFetch", url=url, prompt="What do they do?")]),
            Turn(text="They hover."),
        )

        def script(body: Mapping[str, Any]) -> Turn:
            asked = str(body["messages"][-1]["content"])
            is_summary = "They hover over fields." in asked and "What do they do?" in asked
            return Turn(text="The page says so.") if is_summary else main(body)

        lab.upstream.script = script
        ran = lab.ask(
            "Read.",
            "--allowedTools=WebFetch",
            profile="full",
            NODE_EXTRA_CA_CERTS=str(CERTIFICATE),
        )

    assert (ran.code, ran.text) == (0, "They hover."), ran.err
    assert [one["content"] for one in ran.tool_results] == ["The page says so."]
    assert site.paths == ["/birds"]
    # A person waits for it as for any other turn.
    assert [one["kind"] for one in lab.log_records()] == ["main", "main", "main"]
