"""``python -m tests.mcp_servers.start_time``: what a warm start to ``tools/list`` costs.

Each server, and an empty one on the same SDK, is started several times over stdio; the best of
them counts, because a busy machine only adds. CPU seconds are those of the server's process.
"""

from __future__ import annotations

import os
import resource
import sys
import time

import anyio
from mcp import Client, StdioServerParameters

from autosre_lab.agents.web_servers import WEB_SERVERS

ROUNDS = 7
EMPTY = ["-c", "from mcp.server import MCPServer; MCPServer('empty').run('stdio')"]


async def _list_tools(arguments: list[str]) -> float:
    parameters = StdioServerParameters(
        command=sys.executable, args=["-P", *arguments], env=dict(os.environ)
    )
    began = time.perf_counter()
    async with Client(parameters) as client:
        await client.list_tools()
        return time.perf_counter() - began


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print a line a server: wall and CPU seconds, and what they are above the empty one's."""
    starts = {"empty": EMPTY} | {
        name: ["-m", server.module] for name, server in WEB_SERVERS.items()
    }
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):  # in turns, so that all meet the same noise
        for name, arguments in starts.items():
            before = _cpu_s()
            wall_s = anyio.run(_list_tools, arguments)
            found = (wall_s, _cpu_s() - before)
            best[name] = tuple(map(min, best.get(name, found), found))  # type: ignore[assignment]
    for name, (wall_s, cpu_s) in best.items():
        print(
            f"{name:13} wall {wall_s:.2f} s ({wall_s - best['empty'][0]:+.2f})"
            f"   cpu {cpu_s:.2f} s ({cpu_s - best['empty'][1]:+.2f})"
        )


if __name__ == "__main__":
    main()
