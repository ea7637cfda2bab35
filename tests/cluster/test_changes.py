"""What a start would change of what a cluster runs: asked, shown, and nothing touched by it."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest

from autosre_lab.chart.from_recipe import helm_values
from autosre_lab.chart.rendering import render
from autosre_lab.cluster import deploying, gone, options, preflight_checks, stack
from autosre_lab.cluster.release import ENGINE, PROXY, apply_release
from autosre_lab.errors import KubeError
from autosre_lab.lifecycle import Change, find_changes
from autosre_lab.recipe import Recipe
from autosre_lab.widgets import change_table, deploy, deploy_panel
from autosre_lab.widgets.deployment import how_much
from tests.cluster.fake_api import FakeCluster, FakeKube
from tests.cluster.objects import config_map
from tests.cluster.recipes import cpu_recipe
from tests.cluster.test_gpu_gate import Probe, meminfo
from tests.cluster.test_stack import LiveKube, tokens_come


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    cluster = FakeCluster(epoch=datetime.now(UTC))
    cluster.objects["Node", None, "gb10"]["metadata"]["labels"]["kubernetes.io/arch"] = "amd64"
    client = LiveKube(cluster)
    for module in (options, stack, preflight_checks):
        monkeypatch.setattr(module, "configured_client", lambda: client)
    return client


def deployed(kube: FakeKube, recipe: Recipe) -> None:
    apply_release(kube, render(helm_values(recipe), namespace="autosre"))
    kube.cluster.advance(30)


def changes(recipe: Recipe) -> dict[str, Change]:
    return {one.part: one for one in find_changes(recipe, place="cluster")}


def words(recipe: Recipe) -> dict[str, str]:
    return {part: how_much(one) for part, one in changes(recipe).items()}


def lines(change: Change) -> set[str]:
    """The lines that go and come."""
    shown = change.diff()[2:]
    return {line[0] + line[1:].strip() for line in shown if line[0] in "+-"}


def edit(kube: FakeKube, **fields: Any) -> None:
    """Change the engine's container by hand."""
    live = kube.get("Deployment", ENGINE)
    assert live is not None
    live["spec"]["template"]["spec"]["containers"][0].update(fields)
    kube.replace(live)


def container(kube: FakeKube) -> dict[str, Any]:
    live = kube.get("Deployment", ENGINE)
    assert live is not None
    found: dict[str, Any] = live["spec"]["template"]["spec"]["containers"][0]
    return found


def test_where_nothing_is_deployed_everything_is_new_and_looking_creates_nothing(
    kube: FakeKube,
) -> None:
    before = dict(kube.cluster.objects)
    found = changes(cpu_recipe())
    assert {how_much(one) for one in found.values()} == {"new"}
    assert {
        "command line",
        "values",
        "Deployment/autosre-vllm-local",
        "Service/autosre-vllm-local",
    } <= set(found)
    assert "ConfigMap/autosre-recipe" in found
    assert not any(part.startswith("Secret/") for part in found)
    assert kube.cluster.objects == before


def test_the_recipe_that_runs_would_change_nothing(kube: FakeKube) -> None:
    deployed(kube, cpu_recipe())
    before = dict(kube.cluster.objects)
    found = words(cpu_recipe())
    assert set(found.values()) == {"no change"}, found
    assert kube.cluster.objects == before


def test_another_recipe_is_a_diff_of_what_it_would_change_and_of_nothing_else(
    kube: FakeKube,
) -> None:
    deployed(kube, cpu_recipe())
    other = cpu_recipe(name="other", latency={"max_step_tokens": 4096})
    found = changes(other)
    same = {part for part, one in found.items() if not one.differs}
    assert {"Deployment/autosre-proxy", "ServiceAccount/autosre"} <= same
    assert lines(found["Service/autosre-vllm-local"]) == {
        "-autosre.dev/recipe: cpu",
        "+autosre.dev/recipe: other",
    }
    assert "+--max-num-batched-tokens 4096" in lines(found["command line"])
    assert "+name: other" in lines(found["values"])
    deployment = "\n".join(found["Deployment/autosre-vllm-local"].diff())
    assert "4096" in deployment
    assert "status" not in deployment
    # The recipe's text is shown as lines, not as one long string with the values.
    assert "+name: other" in lines(found["ConfigMap/autosre-recipe"])
    assert "values.json" not in "\n".join(found["ConfigMap/autosre-recipe"].diff())


def test_a_value_edited_by_hand_would_be_put_back(kube: FakeKube) -> None:
    deployed(kube, cpu_recipe())
    edit(kube, command=[*container(kube)["command"], "--max-num-seqs", "3"])
    found = changes(cpu_recipe())
    assert lines(found["command line"]) == {"---max-num-seqs 3"}
    assert found["Deployment/autosre-vllm-local"].differs
    assert not found["values"].differs
    apply_release(kube, render(helm_values(cpu_recipe()), namespace="autosre"))
    assert "--max-num-seqs" not in container(kube)["command"]


def test_a_variable_added_by_hand_goes_at_the_next_start(kube: FakeKube) -> None:
    deployed(kube, cpu_recipe())
    added = {"name": "BY_HAND", "value": "1"}
    edit(kube, env=[*container(kube).get("env", []), added])
    same = changes(cpu_recipe())["Deployment/autosre-vllm-local"]
    assert "-- name: BY_HAND" in lines(same)
    other = cpu_recipe(name="other", latency={"max_step_tokens": 4096})
    assert "-- name: BY_HAND" in lines(changes(other)["Deployment/autosre-vllm-local"])


def test_a_stack_at_zero_replicas_would_be_started(kube: FakeKube) -> None:
    deployed(kube, cpu_recipe())
    for name in (ENGINE, PROXY):
        kube.patch("Deployment", name, {"spec": {"replicas": 0}})
    found = changes(cpu_recipe())
    assert how_much(found["command line"]) == "new"
    for name in (ENGINE, PROXY):
        assert lines(found[f"Deployment/{name}"]) == {"-replicas: 0", "+replicas: 1"}


def test_what_the_recipe_does_not_have_any_more_is_told_as_taken_away(kube: FakeKube) -> None:
    hooked = cpu_recipe(scheduler={"preemption": {"mode": "hook"}})
    deployed(kube, hooked)
    kube.create(config_map("theirs"))
    found = words(cpu_recipe())
    assert found["ConfigMap/autosre-preemption"] == "taken away"
    assert "ConfigMap/theirs" not in found


def test_another_address_of_the_service_is_a_change_and_no_refusal(kube: FakeKube) -> None:
    deployed(kube, cpu_recipe())
    found = changes(cpu_recipe(network={"cluster_ip": "10.96.0.77"}))
    assert lines(found["Service/autosre-vllm-local"]) == {
        "-clusterIP: 10.96.0.30",
        "+clusterIP: 10.96.0.77",
    }


def test_who_may_only_read_is_told_what_cannot_be_told(kube: FakeKube) -> None:
    deployed(kube, cpu_recipe())
    denied = KubeError("you may not patch deployments", remedy="-", status=403)
    kube.cluster.refuse = lambda action, *_: denied if action == "patch" else None
    table = change_table(cpu_recipe(), place="cluster").set_index("part")
    assert table.change[f"Deployment/{ENGINE}"] == "cannot be told: you may not patch deployments"
    assert table.change["command line"] == "no change"


# -- the deploy panel ----------------------------------------------------------------------------


@pytest.fixture
def recipe(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The panel's recipe, in a cluster where tokens come as soon as its Pod is ready."""
    monkeypatch.setattr(gone, "POLL_S", 0.001)
    probe = Probe([meminfo(110)])
    monkeypatch.setattr(deploying, "open_node_probe", lambda *_, **__: nullcontext(probe))
    tokens_come(monkeypatch)
    chosen = cpu_recipe()
    monkeypatch.setattr(deploy_panel, "load_recipe", lambda _: chosen)
    monkeypatch.setattr("autosre_lab.lifecycle.verbs._loaded", lambda _: chosen)
    return chosen


def test_a_look_without_anybody_looking_leaves_the_cluster_as_it_is(
    kube: FakeKube, recipe: Recipe
) -> None:
    before = dict(kube.cluster.objects)
    panel = deploy("cpu", place="cluster")
    panel.check()
    summary = panel.summary()
    assert kube.cluster.objects == before
    assert summary["state"] == "stopped"
    assert summary["serves"] is None
    assert set(summary["changes"].values()) == {"new"}
    assert "fail" not in summary["checks"].values()
    assert len(summary["checks"]) > 3


def test_the_panel_starts_compares_and_stops_where_dry_run_is_off(
    kube: FakeKube, recipe: Recipe
) -> None:
    panel = deploy("cpu", place="cluster", dry_run=False)
    assert panel.may_start
    panel.start()
    summary = panel.summary()
    assert (summary["state"], summary["serves"]) == ("ready", "cpu")
    assert summary["drift"] is not None
    panel.check()
    assert set(panel.summary()["changes"].values()) == {"no change"}
    panel.stop()
    assert kube.find("Pod") == []
    assert panel.summary()["state"] == "stopped"
