"""The deploy notebook, run by papermill against a real Kubernetes."""

from __future__ import annotations

from pathlib import Path

import pytest

import autosre_lab
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.release import ENGINE, PROXY
from autosre_lab.cluster.rollout import pods_of
from autosre_lab.notebooks import run_notebook

pytestmark = [pytest.mark.cluster, pytest.mark.notebook, pytest.mark.timeout(1500)]

KINDS = ("Deployment", "Service", "ConfigMap", "NetworkPolicy", "ServiceAccount", "Pod", "Lease")


def versions(kube: ApiServerClient) -> dict[tuple[str, str], str]:
    """Return the version of each object of our namespace: a write of any kind counts it up."""
    return {
        (kind, one["metadata"]["name"]): one["metadata"]["resourceVersion"]
        for kind in KINDS
        for one in kube.find(kind)
    }


@pytest.fixture
def stopped(kube: ApiServerClient) -> ApiServerClient:
    """The cluster with nothing of ours in it that runs."""
    if kube.get("Namespace", kube.namespace) is not None:
        autosre_lab.stop(place="cluster")
    return kube


def test_a_dry_run_tells_what_a_start_would_do_and_changes_nothing(
    stopped: ApiServerClient, recipe_file: Path, tmp_path: Path
) -> None:
    kube = stopped
    before = versions(kube)
    there = kube.get("Namespace", kube.namespace)
    out = tmp_path / "deploy" / "2_deploy.ipynb"
    summary = run_notebook("deploy", out, {"RECIPE": str(recipe_file), "PLACE": "cluster"})
    assert versions(kube) == before
    assert (kube.get("Namespace", kube.namespace) is None) == (there is None)
    assert pods_of(kube, ENGINE) == []

    assert (summary["place"], summary["dry_run"]) == ("cluster", True)
    assert (summary["state"], summary["drift"]) == ("stopped", None)
    checks = summary["checks"]
    assert len(checks) > 5
    assert "fail" not in checks.values(), checks
    changes = summary["changes"]
    objects = {f"Deployment/{ENGINE}", f"Service/{ENGINE}"}
    assert {"command line", "values"} | objects <= set(changes)
    assert changes["command line"] == "new"
    assert not [one for one in changes.values() if one.startswith("cannot be told")]
    assert out.stat().st_size < 1_000_000


def test_with_dry_run_off_the_notebook_starts_the_stack_and_a_second_run_leaves_it_as_it_is(
    stopped: ApiServerClient, recipe_file: Path, tmp_path: Path
) -> None:
    kube = stopped
    asked = {"RECIPE": str(recipe_file), "PLACE": "cluster", "DRY_RUN": False}
    out = tmp_path / "start" / "2_deploy.ipynb"
    summary = run_notebook("deploy", out, {**asked, "STOP_AT_END": False})
    assert (summary["state"], summary["serves"]) == ("ready", "smollm2-pod")
    assert summary["drift"]["rows"] == []
    assert out.stat().st_size < 1_000_000
    token = kube.get("Secret", "autosre-proxy")
    assert token is not None
    assert token["data"]["token"] not in out.read_text(encoding="utf-8")
    before = kube.get("Deployment", ENGINE)
    pods = [pod["metadata"]["uid"] for pod in pods_of(kube, ENGINE) + pods_of(kube, PROXY)]

    # What runs is what the recipe says: a second run changes nothing, and ends nothing that it did
    # not start.
    out = tmp_path / "again" / "2_deploy.ipynb"
    summary = run_notebook("deploy", out, asked)
    assert set(summary["changes"].values()) == {"no change"}, summary["changes"]
    after = kube.get("Deployment", ENGINE)
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    same = [pod["metadata"]["uid"] for pod in pods_of(kube, ENGINE) + pods_of(kube, PROXY)]
    assert same == pods
    assert autosre_lab.status(place="cluster").state == "ready"
    autosre_lab.stop(place="cluster")
