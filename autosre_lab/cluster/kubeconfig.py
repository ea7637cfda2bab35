"""Which cluster is meant: the kubeconfig's, k3s' own, or the one this process runs in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.errors import KubeError, MissingExtraError
from autosre_lab.settings import home_folder

__all__ = ["K3S_KUBECONFIG", "connect", "find_kubeconfig"]

K3S_KUBECONFIG = Path("/etc/rancher/k3s/k3s.yaml")
"""Where k3s writes its administrator's kubeconfig, readable by root only."""

IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


def connect(
    kubeconfig: str | Path | None = None,
    context: str | None = None,
    *,
    namespace: str = "autosre",
) -> ApiServerClient:
    """Return a client for the cluster that is meant; nothing is sent yet.

    Without ``kubeconfig`` these are looked at, in this order: the variable KUBECONFIG,
    ``~/.kube/config``, k3s' own file, the service account of the Pod that this process runs in.

    Args:
        kubeconfig: The file to use.
        context: The context in it; its current one when not given.
        namespace: The namespace that is meant where none is named.

    Raises:
        KubeError: No kubeconfig was found, or it cannot be used.
        MissingExtraError: The official client is not installed.
    """
    try:
        from kubernetes import client
    except ImportError as error:
        raise MissingExtraError("a stack in Kubernetes", extra="cluster") from error
    file = str(kubeconfig) if kubeconfig else find_kubeconfig()
    configuration = client.Configuration()
    _load(configuration, file, context)
    return ApiServerClient(configuration, namespace=namespace)


def find_kubeconfig(
    environ: Mapping[str, str] | None = None, *, k3s: Path = K3S_KUBECONFIG
) -> str | None:
    """Return the kubeconfig that is meant where none is named; None for the Pod's own account.

    Raises:
        KubeError: There is none, or k3s' file is there and cannot be read.
    """
    env = os.environ if environ is None else environ
    if named := env.get("KUBECONFIG"):
        # A list, as for kubectl: files that are not there are passed over.
        if any(Path(part).exists() for part in named.split(os.pathsep) if part):
            return named
        raise _unusable(
            f"KUBECONFIG={named}: no such file",
            "Set KUBECONFIG to an existing file, or unset it to use ~/.kube/config.",
        )
    usual = home_folder(env) / ".kube" / "config"
    if usual.exists():
        return str(usual)
    if _is_there(k3s):
        if os.access(k3s, os.R_OK):
            return str(k3s)
        raise _unusable(
            f"{k3s} is readable by root only",
            f"copy it for yourself: mkdir -p ~/.kube && sudo cat {k3s} > ~/.kube/config && "
            "chmod 600 ~/.kube/config",
        )
    if env.get(IN_CLUSTER):
        return None
    raise _unusable(
        f"no kubeconfig: KUBECONFIG is not set, and neither {usual} nor {k3s} is there",
        "set KUBECONFIG to the cluster's kubeconfig, or install k3s on this machine",
    )


def _load(configuration: Any, file: str | None, context: str | None) -> None:
    from kubernetes import config

    untyped: Any = config
    try:
        if file is None:
            untyped.load_incluster_config(client_configuration=configuration)
        else:
            untyped.load_kube_config(
                config_file=file,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
    except PermissionError as error:
        remedy = "make the file readable for yourself, or copy it"
        raise _unusable(f"{file} is not readable", remedy) from error
    except Exception as error:  # YAML, base64, a plugin: all mean that this file cannot be used
        message = f"{file or 'the service account of this Pod'} cannot be used: {error}"
        remedy = (
            "fix it, or set KUBECONFIG to another file; `kubectl config view` shows what it says"
        )
        raise _unusable(message, remedy) from error


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except PermissionError:  # the folder above it is closed to us: then k3s is installed
        return True


def _unusable(message: str, remedy: str) -> KubeError:
    return KubeError(message, remedy=remedy, status=0, reason="NoKubeconfig")
