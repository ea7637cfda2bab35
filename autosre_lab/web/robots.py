"""robots.txt as RFC 9309 has it, fetched through the same guarded client."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from autosre_lab.errors import FetchError, MissingExtraError, RobotsError
from autosre_lab.web.address_guard import shown_url

if TYPE_CHECKING:
    from protego import Protego

    from autosre_lab.web.guarded_client import GuardedClient

__all__ = ["AGENT", "Robots"]

AGENT = "autosre-lab"
"""The name that is looked up in robots.txt; without a group of its own, ``*`` applies."""
PARSED_BYTES = 512_000
KEPT_S = 3600.0
"""Seconds that an answer is kept; RFC 9309 allows 24 hours."""
KEPT_UNREACHABLE_S = 60.0
MOST_SITES = 500


@dataclass(frozen=True, slots=True)
class _Kept:
    rules: Protego | None
    """None where everything is allowed."""
    refusal: str
    until: float


class Robots:
    """Says whether programs may read a page.

    Args:
        client: Fetches each site's robots.txt once.
        clock: Seconds on a clock that only goes forward.
    """

    def __init__(
        self, client: GuardedClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def require(self, url: str) -> None:
        """Return where a page may be read. Blocks while robots.txt is fetched.

        Raises:
            RobotsError: It may not, or robots.txt could not be fetched.
        """
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        if parts.path == "/robots.txt":
            return
        kept = self._kept.get(site)
        if kept is None or kept.until <= self._clock():
            kept = self._ask(site)
            if len(self._kept) >= MOST_SITES:
                self._kept.clear()
            self._kept[site] = kept
        if kept.refusal:
            raise RobotsError(
                f"{shown_url(url)} was not read: {kept.refusal}",
                remedy="try again later, or use another source",
            )
        if kept.rules is not None and not kept.rules.can_fetch(url, AGENT):
            raise RobotsError(
                f"{shown_url(url)} is not read: {site}/robots.txt asks programs not to",
                remedy="use another source; a person who may read it by program sets "
                "AUTOSRE_FETCH_ROBOTS=ignore",
            )

    def _ask(self, site: str) -> _Kept:
        now = self._clock()
        try:
            reply = self._client.get(f"{site}/robots.txt", max_bytes=PARSED_BYTES)
        except FetchError as error:
            why = (
                f"{site}/robots.txt could not be fetched, so the page was not read "
                f"(RFC 9309): {error.message}"
            )
            return _Kept(None, why, now + KEPT_UNREACHABLE_S)
        if reply.status >= 500:
            why = f"{site}/robots.txt answers {reply.status}, so the page was not read (RFC 9309)"
            return _Kept(None, why, now + KEPT_UNREACHABLE_S)
        if not 200 <= reply.status < 300:
            return _Kept(None, "", now + KEPT_S)
        try:
            from protego import Protego
        except ImportError as error:
            raise MissingExtraError("heeding robots.txt", extra="web") from error
        return _Kept(Protego.parse(reply.body.decode("utf-8", "replace")), "", now + KEPT_S)
