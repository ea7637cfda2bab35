"""Browser services that speak CDP over HTTP: this project's Pod, any Chromium, browserless."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from autosre_lab.browser.config import BrowserConfig
from autosre_lab.browser.recordings import (
    BrowserRecording,
    Pruned,
    list_recordings,
    prune_recordings,
)
from autosre_lab.errors import BrowserError

__all__ = ["BrowserPressure", "BrowserService", "BrowserlessService", "Health"]

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a service says of its browser.

    Attributes:
        browser: For example ``Chrome/156.0.8078.79``.
        protocol: The version of the DevTools protocol.
        ws_url: Where a client connects to; holds no token.
    """

    browser: str
    protocol: str
    ws_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserPressure:
    """How busy a service is.

    Attributes:
        running: Clients that have a browser.
        most: Clients that may have one at once.
        queued: Clients that wait.
    """

    running: int
    most: int
    queued: int = 0

    @property
    def full(self) -> bool:
        """Whether the next client would have to wait or be refused."""
        return self.running >= self.most


class BrowserService:
    """A service that gives out browsers over CDP.

    Args:
        url: Its base URL, for example ``http://10.96.0.33:3010``.
        token: What it asks for; sent in the header ``Authorization``.
        recordings_folder: Where recordings are, if this machine can see them.
        recording_ttl_h: Hours that a recording is kept.
    """

    remote: ClassVar[bool] = True
    health_path: ClassVar[str] = "/json/version"

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        recordings_folder: Path | None = None,
        recording_ttl_h: float = 24.0,
    ) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._recordings = recordings_folder
        self._ttl_h = recording_ttl_h

    @classmethod
    def from_config(cls, config: BrowserConfig) -> BrowserService:
        """Return the service that a configuration names."""
        kind = BrowserlessService if config.kind == "browserless" else cls
        return kind(
            config.url,
            token=config.token,
            recordings_folder=config.recordings,
            recording_ttl_h=config.recording_ttl_h,
        )

    @property
    def headers(self) -> dict[str, str]:
        """What every request to it carries."""
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    async def health(self) -> Health:
        """Ask whether it answers, and with which browser.

        Raises:
            BrowserError: It does not, or not to this token.
        """
        said = await self._get(self.health_path)
        path = urlsplit(str(said.get("webSocketDebuggerUrl", ""))).path or "/"
        return Health(
            browser=str(said.get("Browser", "unknown")),
            protocol=str(said.get("Protocol-Version", "unknown")),
            ws_url=self._ws_url(path),
        )

    async def pressure(self) -> BrowserPressure | None:
        """Return how busy it is; None if it does not say.

        Raises:
            BrowserError: It does not answer.
        """
        try:
            said = await self._get("/pressure")
        except BrowserError:
            return None
        return self._pressure(said)

    def busy(self, why: str) -> BrowserError:
        """Return the error for a client that it has no browser for."""
        return BrowserError(
            f"the browser service at {self.url} is busy: {why}",
            remedy="close a session, or try again in a minute",
        )

    def recordings(self) -> list[BrowserRecording]:
        """Return the recordings in its folder, oldest first."""
        return list_recordings(self._recordings) if self._recordings else []

    def prune_recordings(self, *, ttl_h: float | None = None, dry_run: bool = False) -> Pruned:
        """Delete the recordings that are older than so many hours.

        Raises:
            ConfigError: The age is unusable.
        """
        if self._recordings is None:
            return Pruned(paths=(), size_bytes=0, kept=0, dry_run=dry_run)
        age = self._ttl_h if ttl_h is None else ttl_h
        return prune_recordings(self._recordings, ttl_h=age, dry_run=dry_run)

    @staticmethod
    def _pressure(said: dict[str, Any]) -> BrowserPressure | None:
        if not {"running", "most"} <= said.keys():
            return None
        return BrowserPressure(
            running=int(said["running"]), most=int(said["most"]), queued=int(said.get("queued", 0))
        )

    def _ws_url(self, path: str) -> str:
        parts = urlsplit(self.url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        return urlunsplit((scheme, parts.netloc, path, "", ""))

    async def _get(self, path: str) -> dict[str, Any]:
        import httpx

        try:
            # The browser is ours: no proxy of the environment stands in front of it.
            async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
                answer = await client.get(f"{self.url}{path}", headers=self.headers)
        except httpx.HTTPError as error:
            raise BrowserError(
                f"the browser service at {self.url} does not answer: {error!r}",
                remedy="start it (`kubectl get pods -l app.kubernetes.io/component=browser`), "
                "correct AUTOSRE_BROWSER_URL, or unset it to use a local Chromium",
            ) from error
        if answer.status_code in (401, 403):
            raise BrowserError(
                f"the browser service at {self.url} refuses the token",
                remedy="set AUTOSRE_BROWSER_TOKEN to the one in the Secret autosre-browser",
            )
        if answer.status_code in (429, 503):
            raise self.busy(answer.text.strip()[:200])
        try:
            said = answer.raise_for_status().json()
        except (httpx.HTTPStatusError, json.JSONDecodeError) as error:
            raise BrowserError(
                f"{self.url}{path} answers {answer.status_code}: no browser service is there",
                remedy="correct AUTOSRE_BROWSER_URL; it is the address of a CDP endpoint",
            ) from error
        return said if isinstance(said, dict) else {}


class BrowserlessService(BrowserService):
    """browserless, which starts one Chromium a client and closes it after its own timeout.

    Its licence is the SSPL or a commercial one: this project neither carries nor starts it.
    """

    async def health(self) -> Health:
        """Ask whether it answers, and with which browser.

        Raises:
            BrowserError: It does not, or not to this token.
        """
        found = await super().health()
        # The path that it names belongs to a browser of another client, or to none.
        return Health(browser=found.browser, protocol=found.protocol, ws_url=self._ws_url("/"))

    @staticmethod
    def _pressure(said: dict[str, Any]) -> BrowserPressure | None:
        inner = said.get("pressure")
        if not isinstance(inner, dict):
            return None
        return BrowserPressure(
            running=int(inner.get("running", 0)),
            most=int(inner.get("maxConcurrent", 0)),
            queued=int(inner.get("queued", 0)),
        )
