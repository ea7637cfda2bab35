"""``python -m autosre_lab.mcp_servers.capabilities``: what this toolkit can do, found by words."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Literal

from autosre_lab.mcp_servers.serving import run_server

if TYPE_CHECKING:
    from autosre_lab.discovery import Catalogue
    from autosre_lab.mcp_servers.tool_server import ToolServer

__all__ = ["build_server", "main"]

INSTRUCTIONS = (
    "autosre serves models with vLLM for Claude Code, measures and tunes them. Call "
    "search_commands before writing code or shell for that: most of it exists. Often used: "
    "`autosre status`, `autosre start RECIPE`, `autosre switch RECIPE`, `autosre bench run`, "
    "`autosre watch --once`."
)


def build_server(catalogue: Catalogue | None = None) -> ToolServer:
    """Make the server; the toolkit is read by the first call, and again when a file has changed.

    Args:
        catalogue: What there is; this installation's when not given.
    """
    import anyio

    from autosre_lab.mcp_servers.tool_server import OfferedTool, ToolServer

    @functools.cache
    def known() -> Catalogue:
        from autosre_lab.discovery import Catalogue

        return catalogue or Catalogue()

    async def list_modules(prefix: str = "", depth: int = 1) -> str:
        """List the Python modules of autosre_lab, one line each.

        Args:
            prefix: As in autosre_lab.bench.
            depth: Levels below prefix.
        """
        return await anyio.to_thread.run_sync(lambda: known().list_modules(prefix, depth=depth))

    async def search_commands(
        query: str,
        kind: Literal["any", "cli", "function", "notebook", "tool", "recipe"] = "any",
        limit: int = 8,
    ) -> str:
        """Find shell commands, Python functions, notebooks, tools and recipes by words.

        Args:
            query: What you want to do, or a name.
            kind: Default any.
            limit: Default 8.
        """
        return await anyio.to_thread.run_sync(lambda: known().search(query, kind=kind, limit=limit))

    async def get_command(
        name: str, detail: Literal["signature", "doc", "full", "source"] = "signature"
    ) -> str:
        """Explain one entry of search_commands: arguments, defaults, errors, an example.

        Args:
            name: As search_commands shows it.
            detail: Default signature.
        """
        return await anyio.to_thread.run_sync(lambda: known().explain(name, detail=detail))

    return ToolServer(
        "capabilities",
        instructions=INSTRUCTIONS,
        tools=[
            OfferedTool(function=list_modules),
            OfferedTool(function=search_commands),
            OfferedTool(function=get_command),
        ],
    )


def main(argv: list[str] | None = None) -> int:
    """Serve until the client goes; the exit status is 2 for what the caller has to fix."""
    return run_server("capabilities", build_server, argv)


if __name__ == "__main__":
    sys.exit(main())
