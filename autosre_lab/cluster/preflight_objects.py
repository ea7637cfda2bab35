"""Whether what has our names is ours: a person's own objects are never taken over, nor deleted."""

from __future__ import annotations

from collections.abc import Iterable

from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.cluster.release import is_ours
from autosre_lab.stack.preflight import Check, fail, ok

__all__ = ["check_owner"]

_HELM = "meta.helm.sh/release-name"


def check_owner(client: KubeClient, objects: Iterable[Object]) -> Check:
    """Whether a start may apply the objects over what is there.

    Args:
        client: The API server, and the namespace.
        objects: As the chart renders them.
    """
    name = "names"
    theirs, helms = [], set()
    for wanted in objects:
        live = client.get(wanted["kind"], wanted["metadata"]["name"])
        if live is None:
            continue
        release = (live["metadata"].get("annotations") or {}).get(_HELM)
        if release:
            helms.add(release)
        elif not is_ours(live):
            theirs.append(f"{wanted['kind']}/{wanted['metadata']['name']}")
    if theirs:
        return fail(
            name,
            f"namespace {client.namespace} has {', '.join(theirs)} without this project's labels: "
            "somebody else's, which a start would replace",
            "rename or delete what is there, or start in another namespace: AUTOSRE_NAMESPACE=…",
        )
    if helms:
        return fail(
            name,
            f"the stack in namespace {client.namespace} belongs to the Helm release "
            f"{', '.join(sorted(helms))}: after a start from here, `helm upgrade` would conflict",
            "change it with `helm upgrade`, or `helm uninstall` it first",
        )
    return ok(name, f"nobody else has them in namespace {client.namespace}")
