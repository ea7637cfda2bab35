"""Which cluster is meant, and what is said where none is."""

from __future__ import annotations

import builtins
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from autosre_lab.cluster import kubeconfig
from autosre_lab.cluster.kubeconfig import connect, find_kubeconfig
from autosre_lab.errors import KubeError, MissingExtraError


def written(file: Path, server: str = "https://10.0.0.1:6443") -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


def test_the_variable_goes_before_the_home_folder_before_k3s(tmp_path: Path) -> None:
    k3s = written(tmp_path / "k3s.yaml")
    env = {"HOME": str(tmp_path)}
    assert find_kubeconfig(env, k3s=k3s) == str(k3s)
    own = written(tmp_path / ".kube" / "config")
    assert find_kubeconfig(env, k3s=k3s) == str(own)
    named = f"{tmp_path / 'absent'}{os.pathsep}{k3s}"
    assert find_kubeconfig({**env, "KUBECONFIG": named}, k3s=k3s) == named


def test_a_variable_that_names_nothing_is_told_and_not_passed_over(tmp_path: Path) -> None:
    written(tmp_path / ".kube" / "config")
    env = {"HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "absent")}
    with pytest.raises(KubeError, match="no such file"):
        find_kubeconfig(env, k3s=tmp_path / "k3s.yaml")


def test_a_k3s_file_for_root_only_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    k3s = written(tmp_path / "k3s.yaml")
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs this may be root
    with pytest.raises(KubeError, match="readable by root only") as told:
        find_kubeconfig({"HOME": str(tmp_path)}, k3s=k3s)
    assert f"sudo cat {k3s} > ~/.kube/config" in told.value.remedy


def test_in_a_pod_its_own_account_is_meant(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    assert find_kubeconfig(env, k3s=tmp_path / "k3s.yaml") is None


def test_no_kubeconfig_at_all_says_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(KubeError, match="no kubeconfig") as told:
        find_kubeconfig({"HOME": str(tmp_path)}, k3s=tmp_path / "k3s.yaml")
    assert "KUBECONFIG" in told.value.remedy


def test_the_current_context_decides_the_server(tmp_path: Path) -> None:
    with connect(written(tmp_path / "config"), namespace="ours") as client:
        assert (client.server, client.namespace) == ("https://10.0.0.1:6443", "ours")


def test_an_unknown_context_is_told(tmp_path: Path) -> None:
    with pytest.raises(KubeError, match="elsewhere"):
        connect(written(tmp_path / "config"), "elsewhere")


def test_an_unreadable_kubeconfig_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "config"
    broken.write_text("clusters: [", encoding="utf-8")
    with pytest.raises(KubeError, match="cannot be used"):
        connect(broken)


def test_without_the_official_client_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "kubernetes":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="Kubernetes needs packages that"):
        kubeconfig.connect(tmp_path / "config")
