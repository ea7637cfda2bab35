"""The browser beside the stack, wherever that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lifecycle.place import last_place

if TYPE_CHECKING:
    from autosre_lab.cluster.browser_service import BrowserPod

__all__ = ["stack_browser"]


def stack_browser(*, place: str | None = None) -> BrowserPod | None:
    """Return the browser's Pod; None where there is none and a local Chromium is to be started.

    Args:
        place: Where to look; by default where the last stack was started.

    Raises:
        ClusterError: The Pod's token is gone, or the cluster cannot be asked.
    """
    if last_place(place) == "local":
        return None
    from autosre_lab.cluster.browser_service import find_browser

    return find_browser()
