"""Ours and @playwright/mcp on the same pages: ``python -m tests.browser.side_by_side CLI_JS``.

Both are real MCP servers over stdio on the same Chromium, driven by the same script, which does
what a model has to: look for a ref in what it was told, act, look again until the task is done.
Tokens are characters / 4 of everything that was returned. @playwright/mcp puts what a navigation
shows into a file, so its snapshot is asked for where an element is looked for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from mcp import Client, StdioServerParameters
from mcp_types import TextContent

from tests.browser.sites import Site, pages, site

PATIENCE = 12
"""Looks at a page before a task is given up."""


class Driver(Protocol):
    """One server under the names of what a person does."""

    name: str

    async def goto(self, url: str) -> str: ...
    async def look(self, find: str | None = None) -> str: ...
    async def click(self, ref: str) -> str: ...
    async def fill(self, fields: dict[str, str]) -> str: ...
    async def accept_dialog(self, ref: str) -> str: ...
    async def scroll(self) -> str: ...
    async def wait_for(self, text: str) -> str: ...
    async def newest_tab(self) -> str: ...


@dataclass
class Cost:
    """What a task has taken."""

    calls: int = 0
    chars: int = 0
    largest: int = 0


@dataclass
class Server:
    """A client that counts what it is told."""

    client: Client
    cost: Cost = field(default_factory=Cost)

    async def call(self, tool: str, **arguments: Any) -> str:
        result = await self.client.call_tool(tool, arguments)
        text = "\n".join(one.text for one in result.content if isinstance(one, TextContent))
        self.cost.calls += 1
        self.cost.chars += len(text)
        self.cost.largest = max(self.cost.largest, len(text))
        return text


@dataclass
class Ours(Server):
    name = "autosre browser"

    async def goto(self, url: str) -> str:
        return await self.call("browser_act", action="goto", value=url)

    async def look(self, find: str | None = None) -> str:
        return await self.call("browser_snapshot", **({"find": find} if find else {}))

    async def click(self, ref: str) -> str:
        return await self.call("browser_act", action="click", target=ref)

    async def fill(self, fields: dict[str, str]) -> str:
        steps = [{"action": "fill", "target": ref, "value": text} for ref, text in fields.items()]
        return await self.call("browser_act", steps=steps)

    async def accept_dialog(self, ref: str) -> str:
        steps = [{"action": "dialog_accept"}, {"action": "click", "target": ref}]
        return await self.call("browser_act", steps=steps)

    async def scroll(self) -> str:
        return await self.call("browser_act", action="scroll", value="5000")

    async def wait_for(self, text: str) -> str:
        return await self.call("browser_act", action="wait_for", value=text)

    async def newest_tab(self) -> str:
        return ""  # it is the current one


@dataclass
class PlaywrightMcp(Server):
    name = "@playwright/mcp 0.0.83"

    async def goto(self, url: str) -> str:
        told = await self.call("browser_navigate", url=url)
        if "beforeunload" in told:  # the page before asks whether to leave it
            told += await self.call("browser_handle_dialog", accept=True)
        return told

    async def look(self, find: str | None = None) -> str:
        if find:
            return await self.call("browser_find", text=find)
        return await self.call("browser_snapshot")

    async def click(self, ref: str) -> str:
        return await self.call("browser_click", element="it", target=ref)

    async def fill(self, fields: dict[str, str]) -> str:
        values = [
            {"name": "it", "element": "it", "type": "textbox", "target": ref, "value": text}
            for ref, text in fields.items()
        ]
        return await self.call("browser_fill_form", fields=values)

    async def accept_dialog(self, ref: str) -> str:
        return await self.click(ref) + await self.call("browser_handle_dialog", accept=True)

    async def scroll(self) -> str:
        return await self.call("browser_press_key", key="End")

    async def wait_for(self, text: str) -> str:
        return await self.call("browser_wait_for", text=text)

    async def newest_tab(self) -> str:
        return await self.call("browser_tabs", action="select", index=1)


Task = Callable[[Driver, Site, Site], Awaitable[bool]]


def ref_of(text: str, pattern: str) -> str:
    """Return the last ref of a line that fits."""
    found: list[str] = re.findall(rf"{pattern}.*?\[ref=((?:f\d+)?e\d+)\]", text)
    return found[-1]


async def seen(driver: Driver, told: str, wanted: str) -> bool:
    """Whether a text is told, or is seen by looking again."""
    for _ in range(PATIENCE):
        if wanted in told:
            return True
        await asyncio.sleep(0.1)
        told = await driver.look()
    return False


async def read(driver: Driver, told: str, pattern: str) -> str:
    """Return what shows an element: what was told, or else a look at the page."""
    return told if re.search(rf"{pattern}.*\[ref=", told) else await driver.look()


async def late(driver: Driver, good: Site, other: Site) -> bool:
    await driver.goto(f"{good.url}/late")
    return await seen(driver, await driver.wait_for("gamma"), "listitem")


async def login(driver: Driver, good: Site, other: Site) -> bool:
    shown = await read(driver, await driver.goto(f"{good.url}/login"), 'textbox "User"')
    fields = {
        ref_of(shown, 'textbox "User"'): "ada",
        ref_of(shown, 'textbox "Password"'): "s3cret-word",
    }
    await driver.fill(fields)
    told = await driver.click(ref_of(shown, 'button "Sign in"'))
    return await seen(driver, told, "Welcome, ada")


async def stream(driver: Driver, good: Site, other: Site) -> bool:
    shown = await read(driver, await driver.goto(f"{good.url}/stream"), 'button "Click"')
    return await seen(driver, await driver.click(ref_of(shown, 'button "Click"')), "Clicked")


async def frames(driver: Driver, good: Site, other: Site) -> bool:
    told = await driver.goto(f"{good.url}/frames?other={other.url}/inner")
    shown = await read(driver, told, 'textbox "Code"')
    await driver.fill({ref_of(shown, 'textbox "Code"'): "far"})
    told = await driver.click(ref_of(shown, 'button "Send"'))
    return await seen(driver, told, "You typed far")


async def dialog(driver: Driver, good: Site, other: Site) -> bool:
    shown = await read(driver, await driver.goto(f"{good.url}/dialogs"), 'button "Delete"')
    told = await driver.accept_dialog(ref_of(shown, 'button "Delete"'))
    return await seen(driver, told, "status [ref=") and await seen(driver, told, "true")


async def download(driver: Driver, good: Site, other: Site) -> bool:
    shown = await read(driver, await driver.goto(f"{good.url}/downloads"), 'link "Get it"')
    return await seen(driver, await driver.click(ref_of(shown, 'link "Get it"')), "evil")


async def shadow(driver: Driver, good: Site, other: Site) -> bool:
    shown = await read(driver, await driver.goto(f"{good.url}/shadow"), 'button "Press"')
    told = await driver.click(ref_of(shown, 'button "Press"'))
    return await seen(driver, told, "Pressed in the shadow")


async def huge(driver: Driver, good: Site, other: Site) -> bool:
    await driver.goto(f"{good.url}/huge")
    return "row 9999" in await driver.look(find="row 9999")


async def feed(driver: Driver, good: Site, other: Site) -> bool:
    told = await driver.goto(f"{good.url}/feed")
    for _ in range(PATIENCE):
        told += await driver.scroll()
        if "post 59" in told:
            return True
        if "post 59" in await driver.look(find="post 59"):
            return True
        await asyncio.sleep(0.1)
    return False


async def popup(driver: Driver, good: Site, other: Site) -> bool:
    shown = await read(driver, await driver.goto(f"{good.url}/popup"), 'button "Open"')
    told = await driver.click(ref_of(shown, 'button "Open"'))
    told += await driver.newest_tab()
    return await seen(driver, told, 'textbox "Code"')


TASKS: dict[str, Task] = {
    "late content": late,
    "login form": login,
    "endless streams": stream,
    "frame of another site": frames,
    "dialog": dialog,
    "download": download,
    "shadow DOM": shadow,
    "5 MB of page": huge,
    "endless list": feed,
    "popup": popup,
}


@dataclass
class Figures:
    """What one server has taken for one task, over the rounds."""

    done: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)


async def measure(
    kind: type[Ours] | type[PlaywrightMcp],
    parameters: StdioServerParameters,
    good: Site,
    other: Site,
    rounds: int,
) -> tuple[int, dict[str, Figures]]:
    figures = {name: Figures() for name in TASKS}
    async with Client(parameters) as client:
        tools = (await client.list_tools()).tools
        schemas = [
            {"name": one.name, "description": one.description, "input_schema": one.input_schema}
            for one in tools
        ]
        driver = kind(client)
        if kind is Ours:
            await client.call_tool("browser_session_open", {})
        await driver.goto(f"{good.url}/")
        for _ in range(rounds):
            for name, task in TASKS.items():
                driver.cost = Cost()
                began = time.perf_counter()
                try:
                    done = await task(driver, good, other)
                except (IndexError, re.error):
                    done = False
                figures[name].done.append(done)
                figures[name].seconds.append(time.perf_counter() - began)
                figures[name].costs.append(driver.cost)
                # Tabs that a task has opened are not the next one's.
                await _tidy(driver)
    return len(json.dumps(schemas)), figures


async def _tidy(driver: Driver) -> None:
    if isinstance(driver, Ours):
        for tab in ("t2", "t3"):
            await driver.client.call_tool("browser_act", {"action": "close_tab", "tab": tab})
        return
    assert isinstance(driver, PlaywrightMcp)
    listed = await driver.call("browser_tabs", action="list")
    for index in range(len(re.findall(r"^- \d+:", listed, re.MULTILINE)) - 1, 0, -1):
        await driver.call("browser_tabs", action="close", index=index)


def table(results: dict[str, tuple[int, dict[str, Figures]]]) -> str:
    """Return the figures as Markdown; medians over the rounds."""
    names = list(results)
    head = "".join(f" | {name}: done | calls | tokens | largest | s" for name in names)
    lines = [f"| task{head} |", "| --- |" + " --- | --- | --- | --- | --- |" * len(names)]
    for task in TASKS:
        cells = []
        for name in names:
            one = results[name][1][task]
            middle = statistics.median
            cells += [
                f"{sum(one.done)}/{len(one.done)}",
                f"{middle(cost.calls for cost in one.costs):.0f}",
                f"{middle(cost.chars for cost in one.costs) / 4:.0f}",
                f"{middle(cost.largest for cost in one.costs) / 4:.0f}",
                f"{middle(one.seconds):.2f}",
            ]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    sums = []
    for name in names:
        every = results[name][1].values()
        tokens = sum(statistics.median(cost.chars for cost in one.costs) for one in every) / 4
        seconds = sum(statistics.median(one.seconds) for one in every)
        done = sum(sum(one.done) for one in every)
        sums += [f"{done}/{sum(len(one.done) for one in every)}", "", f"{tokens:.0f}", ""]
        sums.append(f"{seconds:.1f}")
    lines.append("| all | " + " | ".join(sums) + " |")
    lines += [
        "",
        *(f"{name}: schemas {chars / 4:.0f} tokens" for name, (chars, _) in results.items()),
    ]
    return "\n".join(lines)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.side_by_side")
    parser.add_argument("cli", help="cli.js of @playwright/mcp, installed with npm")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with (
        site(pages()) as good,
        site(pages(), host="127.0.0.2") as other,
        tempfile.TemporaryDirectory() as folder,
    ):
        allow = f"{good.host}:{good.port},{other.host}:{other.port}"
        own = {**os.environ, "AUTOSRE_FETCH_ALLOW": allow, "AUTOSRE_STATE_DIR": folder}
        module = "autosre_lab.mcp_servers.browser"
        ours = StdioServerParameters(command=sys.executable, args=["-m", module], env=own)
        flags = ["--headless", "--isolated", "--executable-path", "/usr/bin/chromium"]
        flags += ["--no-sandbox", "--output-dir", folder]
        theirs = StdioServerParameters(command="node", args=[options.cli, *flags], cwd=folder)
        results = {
            Ours.name: await measure(Ours, ours, good, other, options.rounds),
            PlaywrightMcp.name: await measure(PlaywrightMcp, theirs, good, other, options.rounds),
        }
    sys.stdout.write(table(results) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
