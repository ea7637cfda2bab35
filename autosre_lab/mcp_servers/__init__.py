"""MCP servers for Claude Code on a local model: fetch, search, capabilities, browser.

Each runs alone: ``python -m autosre_lab.mcp_servers.fetch`` speaks stdio, with ``--http PORT``
streamable HTTP. They only call the library; nothing heavier than the MCP SDK is loaded before a
tool needs it.
"""

from __future__ import annotations

__all__: list[str] = []
