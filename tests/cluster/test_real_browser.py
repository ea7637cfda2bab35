"""The browser's Pod on a real Kubernetes: at its pinned address, behind its token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from autosre_lab.browser import (
    BrowserConfig,
    BrowserService,
    BrowserSessions,
    act,
    parse_steps,
    take_screenshot,
)
from autosre_lab.chart import ChartOptions, helm_values, render
from autosre_lab.chart.from_recipe import BROWSER_SECRET
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.release import BROWSER, ensure_namespace, ensure_token
from autosre_lab.cluster.rollout import pods_of, wait_rollout
from autosre_lab.recipe import load_recipe
from autosre_lab.web import AddressGuard, AllowList
from tests.browser.sites import Site, pages, site
from tests.browser.sites import until as until_async
from tests.support.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.browser, pytest.mark.timeout(300)]

URL = "http://10.96.0.33:3010"


@pytest.fixture(scope="module")
def served(kube: ApiServerClient) -> Iterator[Site]:
    """A site on the node, where the Pod reaches it: at the API server's own host address."""
    (node, *_) = kube.find("Node")
    addresses = node["status"]["addresses"]
    host = next(one["address"] for one in addresses if one["type"] == "InternalIP")
    with site(pages(), host=host) as found:
        yield found


@pytest.fixture(scope="module")
def token(kube: ApiServerClient, recipe_file: Path, served: Site) -> Iterator[str]:
    """The browser's own objects of the chart, applied; the token of its Secret."""
    ensure_namespace(kube)
    shown = ensure_token(kube, BROWSER_SECRET)
    options = ChartOptions(browser=True, fetch_allow=f"{served.host}:{served.port}")
    values = helm_values(load_recipe(recipe_file), options)
    values["browser"]["allowTo"] = [f"{served.host}/32"]  # the guard's door, and the policy's
    objects = render(values, namespace=kube.namespace)
    ours = [obj for obj in objects if _is_ours(obj)]
    assert {obj["kind"] for obj in ours} == {
        *("Deployment", "Service", "NetworkPolicy", "ServiceAccount")
    }
    for obj in ours:
        kube.apply(obj)
    wait_rollout(kube, BROWSER, deadline_s=time.monotonic() + 120)
    yield shown
    for obj in reversed(ours):
        kube.delete(obj["kind"], obj["metadata"]["name"])
    until(lambda: pods_of(kube, BROWSER) == [], "the browser's Pod to go", 60)


def _is_ours(obj: dict[str, Any]) -> bool:
    return bool(obj["metadata"]["name"] == BROWSER or obj["kind"] == "ServiceAccount")


def config(token: str, folder: Path) -> BrowserConfig:
    return BrowserConfig(url=URL, token=token, folder=folder, recordings=folder / "films")


def test_the_pod_answers_at_its_address_to_who_shows_the_token(token: str) -> None:
    assert httpx.get(f"{URL}/json/version", timeout=10).status_code == 401
    health = asyncio.run(BrowserService(URL, token=token).health())
    assert health.browser.startswith("Chrome/")
    assert health.ws_url.startswith("ws://10.96.0.33:3010/")


def test_devtools_itself_cannot_be_reached(kube: ApiServerClient, token: str) -> None:
    (pod,) = pods_of(kube, BROWSER)
    address = pod["status"]["podIP"]
    assert httpx.get(f"http://{address}:3010/health", timeout=10).status_code == 200
    listening = kube.exec(pod["metadata"]["name"], ["cat", "/proc/net/tcp"]).stdout
    # State 0A listens; 00000000 is every address, port 0BC2 is 3010.
    open_to_all = [
        line.split()[1]
        for line in listening.splitlines()[1:]
        if line.split()[3] == "0A" and not line.split()[1].startswith("0100007F")
    ]
    assert open_to_all == ["00000000:0BC2"]


def test_a_page_is_driven_through_the_pod_and_refusals_hold_there(
    token: str, served: Site, tmp_path: Path
) -> None:
    async def scenario() -> None:
        guard = AddressGuard(allow=AllowList.parse(f"{served.host}:{served.port}"))
        async with BrowserSessions(config(token, tmp_path), guard) as sessions:
            await sessions.open()
            async with sessions.using() as one:
                steps = [{"action": "goto", "value": f"{served.url}/late"}]
                steps.append({"action": "wait_for", "value": "gamma"})
                assert "alpha" in (await act(one, parse_steps(steps))).page
                picture = await take_screenshot(one, one.tab())
                assert picture.png.startswith(b"\x89PNG")
                # The guard of the Pod, asked past our own: its own health page is loopback to it.
                page = one.tab().page
                opened = await page.evaluate(
                    """() => new Promise(done => {
                        const socket = new WebSocket('ws://127.0.0.1:3010/');
                        socket.onopen = () => done(true); socket.onerror = () => done(false); })"""
                )
                assert opened is False

    asyncio.run(scenario())


def test_the_pod_is_nobody_and_holds_nothing(kube: ApiServerClient, token: str) -> None:
    (pod,) = pods_of(kube, BROWSER)
    name = pod["metadata"]["name"]

    def inside(*command: str) -> str:
        return str(kube.exec(name, list(command)).stdout).strip()

    assert inside("id", "-u") == "65532"
    assert "Read-only" in str(kube.exec(name, ["sh", "-c", "touch /x 2>&1; true"]).stdout)
    assert inside("sh", "-c", "touch /recordings/x && ls /recordings && rm /recordings/x") == "x"
    assert inside("sh", "-c", "ls /var/run/secrets/kubernetes.io 2>/dev/null; true") == ""


def test_browsers_end_with_their_clients_and_leave_nothing(
    kube: ApiServerClient, token: str, tmp_path: Path
) -> None:
    (pod,) = pods_of(kube, BROWSER)

    def browsers() -> str:
        command = "ls /tmp | grep -c autosre-chromium; true"
        return str(kube.exec(pod["metadata"]["name"], ["sh", "-c", command]).stdout).strip()

    def leaks() -> str:
        """Name the processes of a browser that have the token."""
        look = (
            "for p in /proc/[0-9]*; do if tr '\\0' ' ' < $p/cmdline | grep -q '[u]ser-data-dir' && "
            "grep -q TOKEN $p/environ; then echo $p; fi; done 2>/dev/null; true"
        )
        return str(kube.exec(pod["metadata"]["name"], ["sh", "-c", look]).stdout).strip()

    async def scenario() -> None:
        async with BrowserSessions(config(token, tmp_path), AddressGuard()) as sessions:
            await sessions.open()
            assert browsers() == "1"
            assert leaks() == ""

    asyncio.run(scenario())
    until(lambda: browsers() == "0", "the client's browser to end", 30)


def test_a_pod_that_ends_in_the_middle_is_told_and_the_next_one_is_used(
    kube: ApiServerClient, token: str, tmp_path: Path
) -> None:
    from autosre_lab.errors import BrowserLostError

    async def scenario() -> None:
        async with BrowserSessions(config(token, tmp_path), AddressGuard()) as sessions:
            await sessions.open()
            (pod,) = pods_of(kube, BROWSER)
            await asyncio.to_thread(kube.delete, "Pod", pod["metadata"]["name"], grace_s=0)
            await until_async(lambda: not sessions.names(), within_s=60)
            with pytest.raises(BrowserLostError, match="service closed the connection"):
                async with sessions.using():
                    pass
            await asyncio.to_thread(wait_rollout, kube, BROWSER, deadline_s=time.monotonic() + 90)
            await sessions.open()

    asyncio.run(scenario())
