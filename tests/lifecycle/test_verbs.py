"""Each verb on both places, from one table: no verb knows which place it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest

import autosre_lab
from autosre_lab import lifecycle
from autosre_lab.cluster import deploying, gone, options
from autosre_lab.cluster.release import ENGINE as ENGINE_NAME
from autosre_lab.errors import AutosreError, ConfigError, NotReadyError, RecipeError
from autosre_lab.lifecycle.cluster_place import ClusterPlace
from autosre_lab.lifecycle.local_place import LocalPlace
from autosre_lab.lifecycle.place import Place
from autosre_lab.parity import DriftWarning
from autosre_lab.settings import paths
from autosre_lab.stack import PreflightReport, Stack
from tests.cluster.fake_api import Behaviour, FakeCluster
from tests.cluster.recipes import cpu_recipe
from tests.cluster.test_gpu_gate import Probe, meminfo
from tests.cluster.test_stack import LiveKube, other, tokens_come
from tests.lifecycle.worlds import World
from tests.local.test_stack import ENGINE, engine_that, home, own_home, recipe

__all__ = ["home", "own_home"]  # fixtures: the local stack's small scripts

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore::Warning")]


@pytest.fixture(params=["local", "cluster"])
def world(
    request: pytest.FixtureRequest, own_home: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    make = _local if request.param == "local" else _cluster
    made = make(monkeypatch)
    lifecycle.stop(place=made.name, timeout_s=10)
    (paths().state / "place.json").unlink(missing_ok=True)
    yield made
    lifecycle.stop(place=made.name, timeout_s=10)


def _local(_: pytest.MonkeyPatch) -> World:
    broken_for_second = f'case "$*" in *8192*) echo "RuntimeError: no"; exit 1;; esac; {ENGINE}'
    return World(
        name="local",
        first=recipe(),
        second=recipe("other", context=8192),
        breaks=lambda: engine_that('echo "RuntimeError: no"; exit 1'),
        breaks_second=lambda: engine_that(broken_for_second),
    )


def _cluster(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(gone, "POLL_S", 0.001)
    probe = Probe([meminfo(110)])
    monkeypatch.setattr(deploying, "open_node_probe", lambda *_, **__: nullcontext(probe))
    tokens_come(monkeypatch)
    cluster = FakeCluster(epoch=datetime.now(UTC))
    cluster.objects["Node", None, "gb10"]["metadata"]["labels"]["kubernetes.io/arch"] = "amd64"
    kube = LiveKube(cluster, namespace="autosre")
    monkeypatch.setattr(options, "configured_client", lambda: kube)
    second = other()

    def refuse_second() -> None:
        live = kube.get("Deployment", ENGINE_NAME)
        assert live is not None
        if "4096" in live["spec"]["template"]["spec"]["containers"][0]["command"]:
            raise NotReadyError("no token came", remedy="-")

    def breaks() -> None:
        cluster.behaviours["vllm"] = Behaviour(waits_for=("ErrImagePull", "no such image"))

    return World(
        name="cluster",
        first=cpu_recipe(),
        second=second,
        breaks=breaks,
        breaks_second=lambda: tokens_come(monkeypatch, refuse_second),
    )


def started(world: World) -> Stack:
    return lifecycle.start(world.first, place=world.name)


def test_a_start_says_what_was_started_and_a_second_one_that_it_ran(world: World) -> None:
    stack = started(world)
    assert (stack.place, stack.ready, stack.was_running) == (world.name, True, False)
    assert (stack.recipe, stack.recipe_name) == (world.first, world.first.name)
    again = started(world)
    assert again == stack
    assert again.was_running


def test_a_start_that_does_not_wait_returns_the_same_type(world: World) -> None:
    stack = lifecycle.start(world.first, place=world.name, wait=False)
    assert isinstance(stack, Stack)
    assert not stack.ready
    assert stack.model == world.first.served_name
    assert stack.max_model_len == world.first.model.context
    ready = stack.wait_ready(timeout_s=60)
    assert ready.ready
    assert (ready.proxy_url, ready.token) == (stack.proxy_url, stack.token)


def test_status_and_stop_find_the_place_by_themselves(world: World) -> None:
    started(world)
    found = lifecycle.status()
    assert (found.place, found.state, found.recipe_name) == (
        world.name,
        "ready",
        world.first.name,
    )
    assert lifecycle.wait_ready().recipe_name == world.first.name
    assert lifecycle.stop(timeout_s=10).state == "stopped"
    assert lifecycle.status().state == "stopped"


def test_a_start_and_a_switch_warn_of_drift(world: World) -> None:
    # The stand-ins are no vLLM, so something always differs or cannot be read.
    with pytest.warns(DriftWarning, match=f"{world.first.name}: "):
        started(world)
    with pytest.warns(DriftWarning, match=f"{world.second.name}: "):
        lifecycle.switch(world.second, place=world.name)


def test_a_switch_keeps_the_proxy_and_its_token(world: World) -> None:
    before = started(world)
    proxy = lifecycle.status().services["proxy"]
    stack = lifecycle.switch(world.second)
    assert (stack.recipe_name, stack.recipe) == (world.second.name, world.second)
    assert (stack.proxy_url, stack.token) == (before.proxy_url, before.token)
    after = lifecycle.status().services["proxy"]
    assert (after.pid, after.pod) == (proxy.pid, proxy.pod)
    assert lifecycle.started_recipe() == world.second


def test_a_switch_to_what_runs_and_one_where_nothing_runs_are_starts(world: World) -> None:
    stack = lifecycle.switch(world.first, place=world.name)
    assert stack.recipe_name == world.first.name
    engine = lifecycle.status().services["engine"]
    assert lifecycle.switch(world.first) == stack
    after = lifecycle.status().services["engine"]
    assert (after.pid, after.pod) == (engine.pid, engine.pod)


def test_a_switch_that_fails_goes_back_to_what_ran_and_says_so(world: World) -> None:
    started(world)
    world.breaks_second()
    with pytest.raises(AutosreError, match=f"recipe {world.first.name}, which ran before, runs"):
        lifecycle.switch(world.second)
    found = lifecycle.status()
    assert (found.state, found.recipe_name) == ("ready", world.first.name)


def test_a_start_that_fails_leaves_no_trace_of_a_place(world: World) -> None:
    with pytest.raises(ConfigError):
        _start_with_a_wrong_option(world)
    assert not (paths().state / "place.json").exists()
    assert lifecycle.last_place().name == "local"


def _start_with_a_wrong_option(world: World) -> None:
    if world.name == "local":
        lifecycle.start(world.first, place="local", dedicated=True)
    else:
        lifecycle.start(world.first, place="cluster", engine_port=1)


def test_a_first_start_that_crashes_leaves_nothing_running_and_no_place(world: World) -> None:
    world.breaks()
    with pytest.raises(AutosreError):
        started(world)
    assert {one.state for one in lifecycle.status(place=world.name).services.values()} <= {
        "stopped",
        "crashed",
        "running",  # the cluster's proxies stay, at no cost
    }
    if world.name == "cluster":
        assert not (paths().state / "place.json").exists()


def test_drift_is_looked_for_where_the_stack_runs(world: World) -> None:
    with pytest.raises(NotReadyError, match="nothing was started"):
        lifecycle.find_drift(place=world.name)
    started(world)
    report = lifecycle.find_drift()
    assert (report.place, report.recipe_name) == (world.name, world.first.name)
    assert lifecycle.find_drift(world.second).recipe_name == world.second.name
    assert lifecycle.warn_on_recipe_drift().place == world.name


def test_drift_is_looked_for_at_a_port(world: World) -> None:
    started(world)
    # The cluster of these tests runs no commands in its Pods; tests/parity reads some by port.
    why = {"local": "on port 1", "cluster": "container not found"}[world.name]
    assert all(row.why.endswith(why) for row in lifecycle.find_drift(api_port=1).unknown)
    with pytest.warns(DriftWarning, match=why):
        report = lifecycle.warn_on_recipe_drift(world.first, 1)
    assert (report.place, report.engine) == (world.name, "")


def test_preflight_tells_of_the_recipe_and_of_the_place(world: World) -> None:
    report = lifecycle.preflight(world.first, place=world.name)
    assert isinstance(report, PreflightReport)
    assert report.passed, report.as_text()
    names = [one.name for one in report.checks]
    assert any(name.startswith("recipe") for name in names)
    assert {"local": "processor", "cluster": "API server"}[world.name] in names


def test_a_recipe_with_a_mistake_is_refused_before_anything_is_started(world: World) -> None:
    engine = world.first.engine.model_copy(update={"args": {"no-such-flag": True}})
    broken = world.first.model_copy(update={"engine": engine})
    report = lifecycle.preflight(broken, place=world.name)
    assert "no-such-flag" in report.as_text()
    assert not report.passed
    with pytest.raises(AutosreError, match="no-such-flag"):
        lifecycle.start(broken, place=world.name)
    assert lifecycle.status(place=world.name).state == "stopped"


def test_changes_are_told_by_part(world: World) -> None:
    found = {one.part: one for one in lifecycle.find_changes(world.first, place=world.name)}
    assert found["command line"].before == ()
    assert any("serve" in line for line in found["command line"].after)


def test_a_feed_finds_its_engine(world: World) -> None:
    started(world)
    sources = lifecycle.stack_sources()
    try:
        assert {"engine", "host", "logs"} <= set(sources.readers())
    finally:
        sources.close()


def test_no_browser_was_asked_for(world: World) -> None:
    started(world)
    assert lifecycle.stack_browser() is None


def test_a_stack_stops_at_the_end_of_its_block_unless_it_ran_before(world: World) -> None:
    with started(world) as stack:
        assert stack.status().state == "ready"
        with started(world) as same:
            assert same.was_running
        assert stack.status().state == "ready"
    assert stack.status().state == "stopped"


def test_a_stack_answers_by_the_public_verbs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Stack]] = []
    monkeypatch.setattr(autosre_lab, "ask", lambda text, *, stack: asked.append((text, stack)))
    stack = started(world)
    stack.ask("Hi")
    assert asked == [("Hi", stack)]
    assert stack.token not in repr(stack)
    assert len(repr(stack)) < 100
    assert world.name in repr(stack)
    assert stack.stop(timeout_s=10).state == "stopped"


def test_both_places_are_places() -> None:
    places: list[Place] = [LocalPlace(), ClusterPlace()]
    assert [one.name for one in places] == list(lifecycle.PLACES)


def test_where_a_recipe_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert lifecycle.place_for(recipe()).name == "local"
    assert lifecycle.place_for(cpu_recipe()).name == "cluster"
    with pytest.raises(RecipeError, match="no `image:` section"):
        lifecycle.place_for(recipe(), "cluster")
    with pytest.raises(RecipeError, match="no `runtime:` section"):
        lifecycle.place_for(cpu_recipe(), "local")
    with pytest.raises(ConfigError, match="no place"):
        lifecycle.place_for(recipe(), "elsewhere")
    monkeypatch.setenv("AUTOSRE_PLACE", "cluster")
    assert lifecycle.last_place().name == "cluster"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"place": 7}', '{"place": "elsewhere"}', "\0"])
def test_a_note_of_a_place_that_cannot_be_read_needs_no_hand(text: str) -> None:
    file = paths().state / "place.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    assert lifecycle.last_place().name == "local"


def test_logs_are_read_where_the_stack_ran_and_asked_for_where_it_did_not(world: World) -> None:
    if world.name == "cluster":
        with pytest.raises(NotReadyError, match="no Pod"):
            lifecycle.stack_logs(place="cluster")
    lifecycle.start(world.first, place=world.name)
    with lifecycle.stack_logs(lines=5) as feed:
        assert {line.source for line in feed.read()} <= {"engine", "proxy"}
