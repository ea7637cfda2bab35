"""The MCP servers a session can have: plain facts, so that a launcher needs no MCP to plan.

A test holds them against what the servers really list.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["WEB_SERVERS", "WebServer", "schema_tokens", "server_command", "web_is_installed"]

CHARS_PER_TOKEN = 3
"""Fewer than any tokenizer we met needs for JSON: an estimate is too high."""
_NEEDED = ("curl_cffi", "mcp", "trafilatura")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServer:
    """One MCP server of `autosre_lab.mcp_servers`.

    Attributes:
        name: Its name, in ``--web`` and in the names of its tools.
        tools: Its tools, and what each does in a few words.
        asks_first: Those of its tools that a person is asked about before each use.
        schema_chars: Characters of JSON that its tools add to every request, at most.
    """

    name: str
    tools: Mapping[str, str]
    asks_first: frozenset[str] = frozenset()
    schema_chars: int

    @property
    def module(self) -> str:
        """The module that runs it."""
        return f"autosre_lab.mcp_servers.{self.name}"

    @property
    def allowed(self) -> tuple[str, ...]:
        """The full names of the tools that are used without asking."""
        return tuple(
            f"mcp__{self.name}__{tool}" for tool in self.tools if tool not in self.asks_first
        )


WEB_SERVERS = {
    server.name: server
    for server in (
        WebServer(
            name="fetch",
            tools={"fetch": "Read a public web page, PDF or JSON as text"},
            schema_chars=1_000,
        ),
        WebServer(
            name="search",
            tools={"search": "Search the web: title, URL and a snippet of each result"},
            schema_chars=1_000,
        ),
        WebServer(
            name="capabilities",
            tools={
                "list_modules": "List the Python modules of autosre_lab",
                "search_commands": "Find shell commands, functions, notebooks, tools and recipes",
                "get_command": "Explain one entry of search_commands",
            },
            schema_chars=1_500,
        ),
        WebServer(
            name="browser",
            tools={
                "browser_session_open": "Open a browser session",
                "browser_snapshot": "See a page as a tree of elements with refs",
                "browser_act": "Click, fill, press, scroll, go to and the like, in a page",
                "browser_render_markdown": "Read a page whose text is made by JavaScript",
                "browser_screenshot": "Save a picture of a page or of one element",
                "browser_pdf": "Save a page as PDF",
                "browser_search": "Search the web through the browser",
                "browser_session_list_tabs": "List the tabs of a session",
                "browser_session_close": "Close a session",
                "browser_prune_recordings": "Delete old recordings",
            },
            # What it submits cannot be taken back, and a page may have talked the model into it.
            asks_first=frozenset({"browser_act", "browser_prune_recordings"}),
            schema_chars=4_700,
        ),
    )
}
"""Every server by name, in the order in which they are taken where not all of them fit."""


def web_is_installed() -> bool:
    """Whether the packages of the ``web`` extra are there; none of them is loaded to find out."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)


def schema_tokens(names: Sequence[str]) -> int:
    """Return an upper estimate of the tokens that servers add to every request."""
    return sum(-(-WEB_SERVERS[name].schema_chars // CHARS_PER_TOKEN) for name in names)


def server_command(name: str) -> list[str]:
    """Return the command that runs a server, in this very Python.

    ``-P`` keeps the folder that the agent works in off the module path: a file named ``json.py``
    there must not be run.
    """
    return [sys.executable, "-P", "-m", WEB_SERVERS[name].module]
