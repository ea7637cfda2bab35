"""The servers' README names what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import autosre_lab.mcp_servers
from autosre_lab.agents.web_servers import WEB_SERVERS
from autosre_lab.mcp_servers.serving import TOKEN_VARIABLE
from autosre_lab.settings import Settings

README = (Path(autosre_lab.mcp_servers.__file__).parent / "README.md").read_text("utf-8")


def test_every_tool_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", README))
    assert {tool for server in WEB_SERVERS.values() for tool in server.tools} <= named


def test_every_setting_of_the_web_tools_is_explained_and_no_other_is_invented() -> None:
    explained = set(re.findall(r"^\| `(AUTOSRE_\w+)`", README, re.MULTILINE))
    settings = {f"AUTOSRE_{one.name.upper()}" for one in fields(Settings)}
    of_the_web = {name for name in settings if re.match(r"AUTOSRE_(FETCH|SEARCH|SEARXNG)_", name)}
    assert of_the_web | {TOKEN_VARIABLE} <= explained
    named = set(re.findall(r"AUTOSRE_(?:FETCH|SEARCH|SEARXNG|MCP)_\w+", README))
    assert named <= settings | {TOKEN_VARIABLE}
