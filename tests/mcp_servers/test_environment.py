"""What reads the web holds no key: no server, no browser, and nothing that they start."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from mcp import Client, StdioServerParameters

from autosre_lab.agents.web_servers import WEB_SERVERS, server_command

WORD = "s3cret-word"
SECRETS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN"),
    *("GH_TOKEN", "HF_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    *("KUBECONFIG", "SSH_AUTH_SOCK", "GPG_AGENT_INFO", "NPM_TOKEN", "PIP_INDEX_URL"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_SECRET", "VAULT_TOKEN", "DATABASE_URL"),
    *("AUTOSRE_PROXY_TOKEN", "AUTOSRE_ENGINE_KEY", "VLLM_API_KEY", "https_proxy", "NODE_OPTIONS"),
    *("LD_PRELOAD_OF_MINE", "A_NAME_THAT_NOBODY_KNOWS"),
)
TOKENS = {"AUTOSRE_MCP_TOKEN": WORD, "AUTOSRE_BROWSER_TOKEN": WORD}


def started_as(name: str, way: str) -> tuple[str, list[str]]:
    """Return the command with which somebody starts a server."""
    if way == "launcher":
        command, *arguments = server_command(name)
        return command, arguments
    if way == "console script":
        return str(Path(sys.executable).with_name(f"autosre-mcp-{name}")), []
    return sys.executable, ["-m", WEB_SERVERS[name].module]


def tree() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def secrets_of(processes: list[psutil.Process]) -> dict[str, list[str]]:
    """Return which secrets the kernel shows in which process's environment."""
    found = {}
    for process in processes:
        # Chromium's helpers come and go.
        with suppress(OSError, psutil.NoSuchProcess):
            raw = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            names = [one.decode().partition("=")[0] for one in raw if WORD.encode() in one]
            found[f"{process.name()} {process.pid}"] = sorted(names)
    return found


async def used(
    name: str, way: str, calls: list[tuple[str, dict[str, object]]]
) -> dict[str, list[str]]:
    command, arguments = started_as(name, way)
    environ = {**os.environ, **dict.fromkeys(SECRETS, WORD), **TOKENS}
    before = {process.pid for process in tree()}
    server = StdioServerParameters(command=command, args=arguments, env=environ)
    async with Client(server) as client:
        await client.list_tools()
        for tool, given in calls:
            assert not (await client.call_tool(tool, given)).is_error
        return secrets_of([process for process in tree() if process.pid not in before])


@pytest.mark.parametrize("way", ["launcher", "console script", "by hand"])
@pytest.mark.parametrize("name", ["fetch", "search", "capabilities"])
def test_a_server_is_shown_no_key_whoever_starts_it(name: str, way: str) -> None:
    found = asyncio.run(used(name, way, []))
    assert list(found.values()) == [["AUTOSRE_MCP_TOKEN"]], found


@pytest.mark.browser
def test_the_browser_and_its_driver_are_shown_no_key() -> None:
    found = asyncio.run(used("browser", "launcher", [("browser_session_open", {})]))
    own = [sorted(TOKENS)]
    assert [names for names in found.values() if names] in (own, own * 2), found
    chromium = [names for name, names in found.items() if name.startswith(("chrom", "headless"))]
    assert chromium
    assert not any(chromium)
    assert len(found) > 4
