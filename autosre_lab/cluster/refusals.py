"""What an API server's refusal means, and what to do about it."""

from __future__ import annotations

import json
import re
from typing import Any

from autosre_lab.cluster.kube import KIND_PATHS
from autosre_lab.errors import ConflictError, KubeError

__all__ = ["explain_refusal", "no_answer", "parse_status"]

SERVICE_CIDR_REMEDY = (
    "give the Service an address inside the cluster's service range (`network.cluster_ip`), or "
    "build the cluster with a range that holds it: k3s takes --service-cidr 10.96.0.0/12 and "
    "--cluster-dns 10.96.0.10 at its installation, and keeps them; from Kubernetes 1.33 on a "
    "ServiceCIDR object opens another range without a reinstall (`autosre preflight` writes it)"
)


def parse_status(body: str) -> dict[str, Any]:
    """Return the Status object that a refusal carries; of another text, only its message."""
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return status
    return {"message": body.strip()[:500], "reason": ""}


def explain_refusal(
    code: int, body: str, *, action: str, kind: str, name: str = "", namespace: str | None = None
) -> KubeError:
    """Return the error for an answer of 400 or more.

    Args:
        code: The HTTP status code.
        body: The answer's text.
        action: The verb as RBAC names it: get, list, create, patch, delete, …
        kind: What it was asked for.
        name: Which one; empty for a whole kind.
        namespace: Where; None outside any namespace.
    """
    status = parse_status(body)
    message = str(status.get("message") or f"HTTP {code}")
    reason = str(status.get("reason") or "")
    what = " ".join(part for part in (action, kind, name) if part)
    where = f" in namespace {namespace}" if namespace else ""
    text = f"{what}{where}: {message}"
    if code == 409:
        return ConflictError(text, remedy=_after_conflict(reason), status=code, reason=reason)
    remedy = _remedy(code, status, message, action, kind, namespace)
    return KubeError(text, remedy=remedy, status=code, reason=reason)


def _after_conflict(reason: str) -> str:
    if reason == "AlreadyExists":
        return "it exists already: apply it instead of creating it, or delete it first"
    return "somebody else changed it in between: read it again, and try again"


def _remedy(
    code: int, status: dict[str, Any], message: str, action: str, kind: str, namespace: str | None
) -> str:
    if code == 401:
        return (
            "the kubeconfig's credentials are unknown to this server or have expired: log in "
            "again, or set KUBECONFIG to another file"
        )
    if code == 403:
        return _when_forbidden(message, action, kind, namespace)
    if code == 404:
        return _when_missing(message, status, kind)
    if code in (400, 422) or "failed to create typed patch object" in message:
        return _when_invalid(message, kind)
    if code == 429 or code >= 500:
        return "the API server is busy or starting; wait a moment and try again"
    return "read the message above; `kubectl` with the same kubeconfig shows the same refusal"


def _when_forbidden(message: str, action: str, kind: str, namespace: str | None) -> str:
    if "quota" in message:
        return "raise the namespace's ResourceQuota, or ask for less"
    if "RuntimeClass" in message or "runtimeclass" in message:
        return "create the RuntimeClass, or take `resources.gpu.runtime_class` out of the recipe"
    if "being terminated" in message:
        return "the namespace is being deleted: wait until it is gone, then create it again"
    plural = KIND_PATHS.get(kind, ("", kind.lower()))[1]
    scope = f" -n {namespace}" if namespace else ""
    return (
        f"ask the cluster's administrator for the right to {action} {plural}; "
        f"`kubectl auth can-i {action} {plural}{scope}` tells whether you have it"
    )


def _when_missing(message: str, status: dict[str, Any], kind: str) -> str:
    if missing := re.search(r'namespaces? "([^"]+)" not found', message):
        return f"create the namespace: kubectl create namespace {missing[1]}"
    if "could not find the requested resource" in message or not status.get("details"):
        version = KIND_PATHS.get(kind, ("", ""))[0]
        return f"this server has no {kind} of {version}; use a newer Kubernetes"
    return "check the name and the namespace"


def _when_invalid(message: str, kind: str) -> str:
    if "not in the valid range" in message or "is not in the range" in message:
        return SERVICE_CIDR_REMEDY
    if "already allocated" in message:
        return (
            "another Service has this address (`kubectl get services -A` shows whose): delete "
            "that Service, or set another `network.cluster_ip`"
        )
    if "immutable" in message or "may not change once set" in message:
        return f"this field cannot change: delete the {kind} and apply it again"
    return "fix the field that the message names"


def no_answer(server: str, problem: str) -> KubeError:
    """Return the error for a server that cannot be reached."""
    if "certificate" in problem.lower():
        remedy = (
            "the kubeconfig's certificate authority is not this server's: take the kubeconfig "
            "from the cluster again"
        )
    else:
        remedy = (
            "start the cluster (k3s: `systemctl start k3s`), or set KUBECONFIG to the kubeconfig "
            "of one that runs"
        )
    return KubeError(
        f"{server} does not answer: {problem}", remedy=remedy, status=0, reason="Unreachable"
    )
