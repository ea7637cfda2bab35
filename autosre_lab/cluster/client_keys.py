"""Keys of single clients for the proxies of a cluster: the file as a Secret."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from autosre_lab.chart.from_recipe import KEYS_ENTRY, KEYS_SECRET
from autosre_lab.cluster.kube import KubeClient
from autosre_lab.cluster.options import configured_client
from autosre_lab.cluster.release import MANAGED, ensure_namespace, is_ours, read_release
from autosre_lab.errors import ClusterError
from autosre_lab.serving.keys import keys_in, keys_text

__all__ = ["PublishedKeys", "publish_keys"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKeys:
    """What the cluster's Secret holds.

    Attributes:
        secret: Its name.
        namespace: Where it is.
        names: Of the keys in it.
        changed: It held something else before.
        mounted: The proxies that run see it; otherwise the next start of the stack mounts it.
    """

    secret: str
    namespace: str
    names: tuple[str, ...]
    changed: bool
    mounted: bool


def publish_keys(
    path: Path, *, client: KubeClient | None = None, dry_run: bool = False
) -> PublishedKeys:
    """Give the proxies of a cluster the keys of a file.

    The kubelet writes a changed Secret into running Pods, within about a minute: no Pod is
    replaced, and no stream ends.

    Args:
        path: The file of keys.
        client: The cluster; the settings' by default.
        dry_run: Change nothing.

    Raises:
        ConfigError: The file is none.
        ClusterError: The Secret is somebody else's, or the cluster cannot be asked.
    """
    keys = keys_in(path)
    kube = client or configured_client()
    encoded = base64.b64encode(keys_text(keys).encode()).decode()
    before = kube.get("Secret", KEYS_SECRET)
    if before is not None and not is_ours(before):
        raise ClusterError(
            f"the Secret {KEYS_SECRET} in {kube.namespace} is not ours",
            remedy=f"rename it, or label it: {' '.join(f'{k}={v}' for k, v in MANAGED.items())}",
        )
    changed = before is None or (before.get("data") or {}).get(KEYS_ENTRY) != encoded
    if changed and not dry_run:
        ensure_namespace(kube)
        kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": KEYS_SECRET, "labels": dict(MANAGED)},
                "type": "Opaque",
                "data": {KEYS_ENTRY: encoded},
            }
        )
    release = read_release(kube)
    return PublishedKeys(
        secret=KEYS_SECRET,
        namespace=kube.namespace,
        names=tuple(key.name for key in keys),
        changed=changed,
        mounted=release is not None and bool(release.values["proxy"].get("keysSecret")),
    )
