"""`autosre watch` of a stack in a cluster: its Service's engine, its Pods' logs, its limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from autosre_lab.chart.from_recipe import helm_values
from autosre_lab.chart.rendering import render
from autosre_lab.cli.watch import watch
from autosre_lab.cluster import application_gate, options
from autosre_lab.cluster.release import apply_release
from tests.cluster.fake_api import Behaviour, FakeCluster, FakeKube
from tests.cluster.recipes import cpu_recipe
from tests.metrics.scripted_engine import Script, scripted_engine


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    monkeypatch.setenv("AUTOSRE_PLACE", "cluster")
    client = FakeKube(FakeCluster(epoch=datetime.now(UTC)))
    monkeypatch.setattr(options, "configured_client", lambda: client)
    return client


@pytest.fixture
def engine() -> Iterator[tuple[str, Script]]:
    with scripted_engine() as served:
        yield served


def test_the_pods_engine_and_logs_are_watched(
    kube: FakeKube, engine: tuple[str, Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = engine
    monkeypatch.setattr(application_gate, "service_url", lambda section: url)
    kube.cluster.behaviours["vllm"] = Behaviour(log=["INFO ready"])
    apply_release(kube, render(helm_values(cpu_recipe()), namespace="autosre"))
    kube.cluster.advance(30)
    result = CliRunner().invoke(watch, ["--once", "--json", "--interval", "0.5"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["engine"]["running"] == 1
    lines = [(line["source"], line["text"]) for line in told["logs"]]
    assert ("engine", "INFO ready") in lines
    assert ("proxy", "started") in lines
    assert lines.count(("engine", "INFO ready")) == 1
    assert "connections" not in told, "those are inside the Pods' network"


def test_without_a_stack_in_the_cluster_watch_says_how_to_start_one(kube: FakeKube) -> None:
    result = CliRunner().invoke(watch, ["--once"])
    assert result.exit_code == 1
    assert "no stack was started in namespace autosre" in result.output
    assert "--place cluster" in result.output
