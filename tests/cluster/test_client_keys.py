"""Clients' keys in a cluster: one Secret, seen by the proxies without a new Pod."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autosre_lab.chart.from_recipe import helm_values
from autosre_lab.chart.rendering import render
from autosre_lab.cluster.client_keys import publish_keys
from autosre_lab.cluster.options import chart_options
from autosre_lab.cluster.release import apply_release
from autosre_lab.errors import ClusterError, ConfigError
from autosre_lab.serving.key_file import create_key, revoke_key
from autosre_lab.serving.keys import keys_in
from tests.cluster.fake_api import FakeCluster, FakeKube
from tests.cluster.recipes import cpu_recipe


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube(FakeCluster(epoch=datetime.now(UTC)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    create_key(path, "alice")
    return path


def deploy(kube: FakeKube) -> dict[str, object]:
    """Apply the chart as a start does; return the proxy's Pod."""
    values = helm_values(cpu_recipe(), chart_options(kube, cpu_recipe()))
    apply_release(kube, render(values, namespace=kube.namespace))
    proxy = kube.get("Deployment", "autosre-proxy")
    assert proxy is not None
    template: dict[str, object] = proxy["spec"]["template"]
    return template


def test_a_first_key_wants_one_start_and_a_change_none(
    kube: FakeKube, file: Path, tmp_path: Path
) -> None:
    bare = deploy(kube)
    assert "autosre-keys" not in str(bare)
    first = publish_keys(file, client=kube)
    assert (first.names, first.changed, first.mounted) == (("alice",), True, False)
    mounted = deploy(kube)
    assert "'secretName': 'autosre-keys'" in str(mounted)
    assert not publish_keys(file, client=kube).changed
    revoke_key(file, "alice")
    again = publish_keys(file, client=kube)
    assert (again.changed, again.mounted) == (True, True)
    secret = kube.get("Secret", "autosre-keys")
    assert secret is not None
    seen = tmp_path / "as-in-the-pod.json"
    seen.write_bytes(base64.b64decode(secret["data"]["keys.json"]))
    assert keys_in(seen) == keys_in(file)
    assert deploy(kube) == mounted, "a changed key must make no new Pod"


def test_a_dry_run_writes_no_secret(kube: FakeKube, file: Path) -> None:
    assert publish_keys(file, client=kube, dry_run=True).changed
    assert kube.get("Secret", "autosre-keys") is None


def test_a_secret_of_somebody_else_and_a_file_that_is_none_are_left_alone(
    kube: FakeKube, file: Path
) -> None:
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "autosre-keys"}}
    kube.create({**theirs, "data": {"keys.json": "e30="}})
    with pytest.raises(ClusterError, match="not ours"):
        publish_keys(file, client=kube)
    file.write_text("{")
    with pytest.raises(ConfigError):
        publish_keys(file, client=kube)
