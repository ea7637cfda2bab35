"""The sessions of one client: opened, found again, closed when idle, told when they are lost."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from autosre_lab.browser.config import BrowserConfig
from autosre_lab.browser.connection import BrowserConnection
from autosre_lab.browser.recordings import mark_finished, mark_running, prune_recordings
from autosre_lab.browser.session import BrowserSession, Closed
from autosre_lab.browser.video import provide_ffmpeg
from autosre_lab.errors import BrowserError, BrowserLostError, ConfigError
from autosre_lab.logs import get_logger
from autosre_lab.web.address_guard import AddressGuard

if TYPE_CHECKING:
    from playwright.async_api import Error

__all__ = ["BrowserSessions", "SessionOptions"]

NARROWEST, WIDEST = 200, 4000
_LOGIN_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How a session is to be.

    Attributes:
        record: Film every tab.
        viewport: Width and height in CSS pixels.
        locale: For example ``de-DE``; the browser's own when None.
        login: The name of a login that was kept when a session was closed.
    """

    record: bool = False
    viewport: tuple[int, int] = (1280, 800)
    locale: str | None = None
    login: str | None = None

    def __post_init__(self) -> None:
        if not all(NARROWEST <= side <= WIDEST for side in self.viewport):
            raise ConfigError(
                f"a viewport of {self.viewport[0]}x{self.viewport[1]} is not possible",
                remedy=f"each side is from {NARROWEST} to {WIDEST} pixels, for example 1280x800",
            )
        if self.record and self.login:
            raise ConfigError(
                "a session with a login is not recorded: films show what is behind it",
                remedy="leave out either record or login",
            )
        if self.login is not None and not _LOGIN_NAME.fullmatch(self.login):
            raise ConfigError(
                f"{self.login!r} is not the name of a login",
                remedy="small letters, digits and dashes, at most 41 of them",
            )


class BrowserSessions:
    """Gives out sessions in one browser, which is started when the first one is opened.

    Enter it as an async context manager; leaving it closes every session and the browser.

    Args:
        config: Which browser, and how much of it.
        guard: Judges where pages may go.
    """

    def __init__(self, config: BrowserConfig, guard: AddressGuard) -> None:
        self.config = config
        self._guard = guard
        self._sessions: dict[str, BrowserSession] = {}
        self._lost: dict[str, str] = {}
        self._connection: BrowserConnection | None = None
        self._opening = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None
        self._count = 0
        # Files of two clients, or of one after another, must not meet.
        self._run = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"

    async def __aenter__(self) -> Self:
        self._sweeper = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        for name in list(self._sessions):
            await self.close(name)
        await self._disconnect()

    @property
    def connection(self) -> BrowserConnection | None:
        """The browser; None while there is none."""
        return self._connection

    def names(self) -> list[str]:
        """Return the open sessions, oldest first."""
        return list(self._sessions)

    async def open(self, options: SessionOptions | None = None) -> BrowserSession:
        """Open a session with one empty tab.

        Raises:
            BrowserError: There is no browser, no room for one more session, or no ffmpeg.
            ConfigError: The login is not there.
        """
        from playwright.async_api import Error

        chosen = options or SessionOptions()
        if chosen.record:
            await asyncio.to_thread(self._prepare_recording)
        async with self._opening:
            if len(self._sessions) >= self.config.sessions:
                raise BrowserError(
                    f"{len(self._sessions)} of {self.config.sessions} sessions are open",
                    remedy="close one with browser_session_close: " + ", ".join(self._sessions),
                )
            connection = await self._connected()
            self._count += 1
            name = f"s{self._count}"
            recording = self._recording_folder(name) if chosen.record else None
            try:
                context = await connection.browser.new_context(
                    **self._context_options(chosen, recording)
                )
                session = BrowserSession(
                    name,
                    context,
                    connection=connection,
                    folder=self.config.folder / f"{self._run}-{name}",
                    recording=recording,
                )
                await session.new_tab()
            except Error as error:
                raise BrowserError(
                    f"no session could be opened: {error.message.splitlines()[0]}",
                    remedy="try again; the browser is started again if it has ended",
                ) from error
            self._sessions[name] = session
        return session

    @asynccontextmanager
    async def using(self, name: str | None = None) -> AsyncIterator[BrowserSession]:
        """Hold a session for one call; with one open it need not be named.

        Raises:
            BrowserError: There is no such session, or what was done inside cannot be done.
            BrowserLostError: The session has ended, or ends meanwhile.
        """
        from playwright.async_api import Error

        session = self._find(name)
        async with session.lock:
            session.used = time.monotonic()
            try:
                yield session
            except Error as error:
                raise self._explained(session, error) from error
            finally:
                session.used = time.monotonic()

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[BrowserSession]:
        """Hold a session that exists for one call only.

        Raises:
            BrowserError: As `open` and `using` raise it.
        """
        session = await self.open()
        try:
            async with self.using(session.name):
                yield session
        finally:
            if session.name in self._sessions:
                await self.close(session.name)
                with suppress(OSError):  # it holds a download: that stays
                    session.folder.rmdir()

    async def close(self, name: str | None = None, *, keep_login: str | None = None) -> Closed:
        """Close a session.

        Args:
            name: Which; the only one where None.
            keep_login: Keep its cookies and local storage under this name for a later `open`.

        Raises:
            BrowserError: There is no such session.
            BrowserLostError: It has ended already.
        """
        session = self._find(name)
        if keep_login is not None:
            file = self._login_file(SessionOptions(login=keep_login).login)
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
            await session.context.storage_state(path=file, indexed_db=True)
        del self._sessions[session.name]
        return await session.close()

    def _find(self, name: str | None) -> BrowserSession:
        if name is None or name == "":
            if len(self._sessions) == 1:
                return next(iter(self._sessions.values()))
            if self._sessions:
                raise BrowserError(
                    "several sessions are open, and none is named",
                    remedy=f"name one of: {', '.join(self._sessions)}",
                )
            name = next(reversed(self._lost), "")
        if name in self._sessions:
            return self._sessions[name]
        if name in self._lost:
            raise BrowserLostError(
                f"session {name} is gone: {self._lost[name]}",
                remedy="open a new one with browser_session_open and go on from its first page",
            )
        raise BrowserError(
            f"there is no session {name}" if name else "no session is open",
            remedy="open one with browser_session_open"
            + (f", or use {', '.join(self._sessions)}" if self._sessions else ""),
        )

    def _explained(self, session: BrowserSession, error: Error) -> BrowserError:
        said = error.message.partition("\nCall log:")[0].strip()[:600]
        if session.connection.ended:
            self._lose_all("the browser ended")
        if session.name in self._lost:
            return BrowserLostError(
                f"session {session.name} is gone: {self._lost[session.name]}",
                remedy="open a new one with browser_session_open and go on from its first page",
            )
        return BrowserError(said, remedy="take a browser_snapshot to see what the page shows now")

    async def _connected(self) -> BrowserConnection:
        if self._connection is not None and self._connection.ended:
            await self._disconnect()
        if self._connection is None:
            self._connection = await BrowserConnection.open(
                self.config, self._guard, on_end=self._note_end
            )
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _note_end(self) -> None:
        self._lose_all(
            "the browser service closed the connection, by its own time limit or by ending"
            if self.config.url
            else "the browser ended"
        )

    def _lose_all(self, why: str) -> None:
        for name, session in list(self._sessions.items()):
            del self._sessions[name]
            self._lost[name] = why
            if session.recording is not None:
                mark_finished(session.recording)

    async def _sweep(self) -> None:
        """Close what nobody has used for a while; the browser too, once nothing is open."""
        while True:
            now = time.monotonic()
            ends = [session.used + self.config.idle_s for session in self._sessions.values()]
            await asyncio.sleep(max(0.05, min(ends, default=now + self.config.idle_s) - now))
            now = time.monotonic()
            for name, session in list(self._sessions.items()):
                if session.used + self.config.idle_s <= now and not session.lock.locked():
                    why = f"nobody used it for {self.config.idle_s:g} s, so it was closed"
                    self._lost[name] = why
                    del self._sessions[name]
                    await session.close()
            if not self._sessions and not self._opening.locked():
                async with self._opening:
                    await self._disconnect()

    def _prepare_recording(self) -> None:
        provide_ffmpeg()
        self.config.recordings.mkdir(parents=True, exist_ok=True, mode=0o700)
        pruned = prune_recordings(self.config.recordings, ttl_h=self.config.recording_ttl_h)
        if pruned.paths:
            _logger.info("%d old recordings were deleted", len(pruned.paths))

    def _recording_folder(self, name: str) -> Path:
        folder = self.config.recordings / f"{self._run}-{name}"
        folder.mkdir(mode=0o700)
        mark_running(folder)
        return folder

    def _login_file(self, login: str | None) -> Path:
        return self.config.folder / "logins" / f"{login}.json"

    def _context_options(self, options: SessionOptions, recording: Path | None) -> dict[str, Any]:
        width, height = options.viewport
        chosen: dict[str, Any] = {
            "viewport": {"width": width, "height": height},
            "service_workers": "block",
            "accept_downloads": True,
        }
        if options.locale:
            chosen["locale"] = options.locale
        if recording is not None:
            chosen["record_video_dir"] = recording
            chosen["record_video_size"] = {"width": width, "height": height}
        if options.login is not None:
            file = self._login_file(options.login)
            if not file.is_file():
                kept = sorted(path.stem for path in file.parent.glob("*.json"))
                raise ConfigError(
                    f"no login {options.login} was kept",
                    remedy=f"kept are: {', '.join(kept) or 'none'}; keep_login keeps one",
                )
            chosen["storage_state"] = file
        return chosen
