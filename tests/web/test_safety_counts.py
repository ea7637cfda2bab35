"""The counts in docs/safety.md are those of the lists that the tests run."""

from __future__ import annotations

from pathlib import Path

from tests.browser.sites import UNREAD
from tests.browser.test_gate_attacks import REFUSED
from tests.mcp_servers.test_attacks import NO_HTTP, WITH_A_TOKEN, WITHOUT_A_TOKEN
from tests.mcp_servers.test_environment import SECRETS
from tests.web.test_address_guard import HOSTILE
from tests.web.test_hidden_text import REMOVED, SHOWN

PAGE = (Path(__file__).parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")


def row(begin: str) -> str:
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {begin}"))
    return line


def test_the_counts_are_those_of_the_lists() -> None:
    assert f"| {len(HOSTILE)} | 0 |" in row("URLs that are no public address")
    over_http = len(WITHOUT_A_TOKEN) + len(WITH_A_TOKEN) + len(NO_HTTP)
    assert f"| {over_http} | 0 |" in row("MCP over HTTP")
    assert f"| {len(REFUSED)} | 0 |" in row("the browser's gate")
    assert f"none of {len(SECRETS)} secrets" in row("what reads the web held")
    assert f"0 of {len(REMOVED)}," in row("words that a reader")
    assert f"0 of {len(SHOWN)} lost" in row("words that a reader")
    assert f"0 of {len(UNREAD)} |" in row("the same in a page")
