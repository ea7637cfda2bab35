"""A session beside a stack in a cluster gets the browser's Pod and its token by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from autosre_lab import lifecycle
from autosre_lab.agents import session
from autosre_lab.agents.claude import launch
from autosre_lab.chart.from_recipe import BROWSER_SECRET, ChartOptions, helm_values
from autosre_lab.chart.rendering import render
from autosre_lab.cluster import options
from autosre_lab.cluster.release import apply_release, ensure_token
from autosre_lab.errors import ClusterError
from autosre_lab.lifecycle import stack_browser
from autosre_lab.stack import Stack, StackStatus
from tests.cluster.fake_api import FakeCluster, FakeKube
from tests.cluster.recipes import cpu_recipe

BROWSER_URL = "http://10.96.0.33:3010"

Deploy = Callable[[ChartOptions], str]


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    monkeypatch.setenv("AUTOSRE_PLACE", "cluster")
    for name in ("URL", "TOKEN", "TOKEN_FILE", "KIND"):
        monkeypatch.delenv(f"AUTOSRE_BROWSER_{name}", raising=False)
    client = FakeKube(FakeCluster(epoch=datetime.now(UTC)), namespace="autosre")
    monkeypatch.setattr(options, "configured_client", lambda: client)
    return client


@pytest.fixture
def deploy(kube: FakeKube) -> Deploy:
    def deployed(options: ChartOptions) -> str:
        apply_release(kube, render(helm_values(cpu_recipe(), options), namespace="autosre"))
        return ensure_token(kube, BROWSER_SECRET) if options.browser else ""

    return deployed


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that is ready, with a window for every web tool."""
    stack = Stack(
        recipe_name="qwen3-coder-30b-a3b-fp8",
        engine_url="http://10.96.0.30:8010",
        proxy_url="http://10.96.0.31:8011",
        token="proxy-token",
        model="qwen",
        max_model_len=131_072,
        log_dir=None,
        request_log=None,
    )
    ready = StackStatus(state="ready", recipe_name=stack.recipe_name, services={}, place="cluster")
    monkeypatch.setattr(lifecycle, "status", lambda: ready)
    monkeypatch.setattr(lifecycle, "wait_ready", lambda: stack)
    monkeypatch.setattr(session, "web_is_installed", lambda: True)


def test_the_pod_and_its_token_are_found_where_the_stack_runs(
    kube: FakeKube, deploy: Deploy
) -> None:
    token = deploy(ChartOptions(browser=True))
    found = stack_browser()
    assert found is not None
    assert (found.url, found.token, found.kind) == (BROWSER_URL, token, "cdp")
    assert token not in repr(found)
    assert stack_browser(place="local") is None


def test_browserless_is_spoken_to_as_browserless(deploy: Deploy) -> None:
    deploy(ChartOptions(browser=True, browser_kind="browserless"))
    found = stack_browser()
    assert found is not None
    assert found.kind == "browserless"


def test_a_stack_without_a_browser_leaves_it_to_this_machine(
    kube: FakeKube, deploy: Deploy
) -> None:
    assert stack_browser() is None
    deploy(ChartOptions())
    assert stack_browser() is None


def test_a_token_that_is_gone_is_told_with_both_ways_on(kube: FakeKube, deploy: Deploy) -> None:
    deploy(ChartOptions(browser=True))
    kube.delete("Secret", BROWSER_SECRET)
    with pytest.raises(ClusterError, match=BROWSER_SECRET) as caught:
        stack_browser()
    assert "start the stack again" in caught.value.remedy
    assert "--web" in caught.value.remedy


@pytest.mark.usefixtures("running")
def test_the_launcher_hands_the_pod_to_the_session_and_shows_no_token(
    deploy: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    token = deploy(ChartOptions(browser=True))
    assert launch(["--dry-run", "--web", "browser", "-p", "hi"]) == 0
    shown = capsys.readouterr().out
    assert f"export AUTOSRE_BROWSER_URL={BROWSER_URL}" in shown
    assert "export AUTOSRE_BROWSER_TOKEN='********'" in shown
    assert f"# the browser is the Pod at {BROWSER_URL}" in shown
    assert token not in shown


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9222"])
def test_who_names_a_browser_or_none_has_chosen(
    deploy: Deploy, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(ChartOptions(browser=True))
    monkeypatch.setenv("AUTOSRE_BROWSER_URL", url)
    assert launch(["--dry-run", "--web", "browser", "-p", "hi"]) == 0
    assert "AUTOSRE_BROWSER" not in capsys.readouterr().out


@pytest.mark.usefixtures("running")
def test_a_session_without_browser_tools_asks_for_no_token(
    kube: FakeKube, deploy: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(ChartOptions(browser=True))
    kube.delete("Secret", BROWSER_SECRET)
    assert launch(["--dry-run", "--web", "fetch", "-p", "hi"]) == 0
    assert "AUTOSRE_BROWSER" not in capsys.readouterr().out
