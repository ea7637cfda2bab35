"""The MCP servers a session can have: plain facts, so that the launcher needs no MCP to plan.

A test holds them against what the servers really list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["WEB_SERVERS", "WebServer"]


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
    )
}
"""Every server by name, in the order in which they are taken where not all of them fit."""
