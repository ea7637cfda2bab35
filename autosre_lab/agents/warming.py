"""Has the first prompt computed while the agent's program still starts."""

from __future__ import annotations

from autosre_lab.agents.launch import Endpoint
from autosre_lab.logs import get_logger
from autosre_lab.proxy.launch_header import LAUNCH_HEADER

__all__ = ["LAUNCH_HEADER", "warm"]

TIMEOUT_S = 2.0

logger = get_logger(__name__)


def warm(stack: Endpoint, started_as: str) -> None:
    """Have the proxy begin to compute what sessions that are started in this way begin with.

    It takes no longer than its answer, which says whether something was begun; whatever fails
    costs the session nothing but the head start.

    Args:
        stack: Where the proxy listens.
        started_as: How the session is started.
    """
    import httpx

    try:
        httpx.post(
            f"{stack.proxy_url}/warm",
            params={"launch": started_as},
            headers={"Authorization": f"Bearer {stack.token}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        ).raise_for_status()
    except httpx.HTTPError as error:
        logger.info("nothing is computed ahead: %s", error)
