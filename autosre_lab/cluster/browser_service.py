"""Where the browser's Pod is reached, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autosre_lab.cluster.options import configured_client
from autosre_lab.cluster.release import read_release, read_token
from autosre_lab.errors import ClusterError

if TYPE_CHECKING:
    from autosre_lab.cluster.kube import KubeClient

__all__ = ["BrowserPod", "find_browser"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserPod:
    """The browser beside a stack in a cluster.

    Attributes:
        url: Base URL of its Service.
        token: What its clients have to show; not in the repr.
        kind: ``cdp``, or ``browserless`` for browserless.
    """

    url: str
    token: str = field(repr=False)
    kind: str = "cdp"


def find_browser(*, client: KubeClient | None = None) -> BrowserPod | None:
    """Return the browser that was deployed with the stack; None where it has none.

    Args:
        client: The cluster; the settings' by default.

    Raises:
        ClusterError: Its token is gone, or the cluster cannot be asked.
    """
    from autosre_lab.cluster.application_gate import service_url

    kube = client or configured_client()
    release = read_release(kube)
    browser = release.values.get("browser") if release is not None else None
    if not browser or not browser["enabled"]:
        return None
    secret = browser["tokenSecret"]["name"]
    token = read_token(kube, secret)
    if token is None:
        raise ClusterError(
            f"the Secret {secret} with the browser's token is gone",
            remedy="start the stack again, or leave the browser out: --web fetch,search",
        )
    return BrowserPod(
        url=service_url(browser),
        token=token,
        kind="browserless" if browser["kind"] == "browserless" else "cdp",
    )
