"""A Chromium of our own: found on this machine, driven over a pipe, gone when its owner is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from autosre_lab.browser.devtools import DevToolsPipe
from autosre_lab.errors import BrowserError, ConfigError
from autosre_lab.processes.identity import ProcessIdentity, end_session, identify
from autosre_lab.processes.lifeline import dies_with_us
from autosre_lab.settings import home_folder

__all__ = ["LocalChromium", "chromium_arguments", "find_chromium"]

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
START_S = 30.0
"""Seconds that a start may take; 0.4 s is usual, a cold disk takes longer."""

GRACE_S = 3.0
"""Seconds from SIGTERM to SIGKILL."""

_PROFILE_PREFIX = "autosre-chromium-"
_OWNER_FILE = "owner"
_SINGLETON_SOCKET = "/org.chromium.Chromium.123456/SingletonSocket"
_SOCKET_PATH_BYTES = 107
"""Longest path that Linux takes for a Unix socket."""
_OVER_PIPE = 'exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null'
"""Puts the pipe where Chromium looks for it: it reads file 3 and writes file 4."""


def find_chromium(asked: str = "", *, environ: Mapping[str, str] | None = None) -> Path:
    """Return a Chromium or Chrome of this machine.

    Args:
        asked: The program that is wanted; the first one found when empty: on PATH, then the one
            that Playwright has downloaded.
        environ: Where PATH and HOME are read from; this process's environment when not given.

    Raises:
        BrowserError: There is none.
    """
    env = os.environ if environ is None else environ
    for name in [asked] if asked else NAMES:
        if found := shutil.which(name, path=env.get("PATH", os.defpath)):
            return Path(found)
    if asked:
        raise ConfigError(
            f"AUTOSRE_CHROMIUM={asked} is not a program of this machine",
            remedy="name Chromium's program, or unset it to take the one on PATH",
        )
    home = home_folder(env)
    downloads = Path(env.get("PLAYWRIGHT_BROWSERS_PATH") or home / ".cache" / "ms-playwright")
    for pattern in ("chromium-*/chrome-linux*/chrome", "chromium_*/chrome-linux*/*headless*shell"):
        for candidate in sorted(downloads.glob(pattern), reverse=True):
            if os.access(candidate, os.X_OK):
                return candidate
    raise BrowserError(
        f"there is no Chromium on this machine (looked for {', '.join(NAMES)} on PATH and for "
        "Playwright's own)",
        remedy="sudo apt-get install chromium   (or: python -m playwright install chromium; or "
        "name the program with AUTOSRE_CHROMIUM, or a browser service with AUTOSRE_BROWSER_URL)",
    )


def chromium_arguments(
    *, profile: Path, proxy_url: str | None = None, sandbox: bool = True
) -> list[str]:
    """Return Chromium's arguments for a browser that a program drives.

    Args:
        profile: Its private folder.
        proxy_url: Where all its traffic goes through, loopback included.
        sandbox: Whether its processes lock themselves in, which root and most Pods cannot.
    """
    arguments = [
        "--headless",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-domain-reliability",
        "--disable-extensions",
        "--disable-quic",
        "--disable-sync",
        "--disable-breakpad",
        # A page that comes back out of this cache never says that it has loaded.
        "--disable-back-forward-cache",
        "--disable-background-timer-throttling",
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
        "--disable-client-side-phishing-detection",
        "--disable-component-extensions-with-background-pages",
        "--disable-field-trial-config",
        "--disable-search-engine-choice-screen",
        "--disable-features=MediaRouter,OptimizationHints,Translate,AutofillServerCommunication,"
        "NetworkTimeServiceQuerying,SigninInterception,AccountConsistency",
        "--allow-browser-signin=false",
        "--gaia-url=https://localhost.invalid/",
        "--metrics-recording-only",
        "--mute-audio",
        "--no-default-browser-check",
        "--no-first-run",
        "--no-pings",
        "--password-store=basic",
        # What WebRTC sends by itself would go around the proxy and past every guard.
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    ]
    if proxy_url is not None:
        # Without "<-loopback>" Chromium would go to loopback by itself.
        arguments += [f"--proxy-server={proxy_url}", "--proxy-bypass-list=<-loopback>"]
    if not sandbox:
        arguments.append("--no-sandbox")
    return [*arguments, "about:blank"]


class LocalChromium:
    """One Chromium process tree with a profile that nobody else sees.

    The kernel ends it when the thread that started it ends, however that happens. It is driven over
    a pipe: it listens nowhere, so that no other user of this machine can drive it.

    Args:
        executable: The program; the one that is found when not given.
        proxy_url: Where all its traffic goes through.
        sandbox: None: whenever this user can.
        folder: Where profiles are made; the system's folder for temporary files when not given.
    """

    def __init__(
        self,
        *,
        executable: Path | None = None,
        proxy_url: str | None = None,
        sandbox: bool | None = None,
        folder: Path | None = None,
    ) -> None:
        self._executable = executable
        self._proxy_url = proxy_url
        self._sandbox = os.geteuid() != 0 if sandbox is None else sandbox
        self._folder = folder or Path(tempfile.gettempdir())
        self._profile: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._leader: ProcessIdentity | None = None
        self._pump: asyncio.Task[None] | None = None
        self._tail: deque[str] = deque(maxlen=15)
        self.version = ""

    @property
    def pid(self) -> int | None:
        """The browser process; None where none runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    async def start(self) -> DevToolsPipe:
        """Start it and return its end of DevTools; `version` then says which browser it is.

        Raises:
            BrowserError: It cannot be started, with its last words.
        """
        executable = self._executable or find_chromium()
        await asyncio.to_thread(self._make_profile)
        assert self._profile is not None  # noqa: S101 - made above
        arguments = chromium_arguments(
            profile=self._profile, proxy_url=self._proxy_url, sandbox=self._sandbox
        )
        try:
            self._process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _OVER_PIPE, str(executable)),
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(self._profile),
                start_new_session=True,
                preexec_fn=dies_with_us(),
            )
        except OSError as error:
            await self.close()
            raise BrowserError(
                f"{executable} cannot be started: {error.strerror}",
                remedy="install Chromium again: sudo apt-get install --reinstall chromium",
            ) from error
        self._leader = identify(self._process.pid)
        self._pump = asyncio.create_task(self._listen(self._process))
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        assert self._process.stdout is not None  # noqa: S101
        pipe = DevToolsPipe(self._process.stdout, self._process.stdin)
        try:
            async with asyncio.timeout(START_S):
                self.version = str((await pipe.ask("Browser.getVersion"))["product"])
        except (TimeoutError, OSError, KeyError) as error:
            if isinstance(error, TimeoutError):
                self._tail.append(f"(no answer within {START_S:g} s)")
            process = self._process
            await self.close()
            said = self._said()
            raise BrowserError(
                f"{executable} did not start (exit code {process.returncode}){said}",
                remedy=_remedy(said),
            ) from error
        return pipe

    async def wait(self) -> int:
        """Return its exit code when it has ended."""
        assert self._process is not None  # noqa: S101 - start() came first
        return await self._process.wait()

    async def close(self) -> None:
        """End every process of it and delete its profile."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if self._leader is not None:
            await asyncio.to_thread(end_session, self._leader, grace_s=GRACE_S)
            self._leader = None
        if process is not None:
            await process.wait()
        if self._pump is not None:
            await self._pump
            self._pump = None
        if self._profile is not None:
            await asyncio.to_thread(shutil.rmtree, self._profile, ignore_errors=True)
            self._profile = None

    def _make_profile(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        delete_left_profiles(self._folder)
        self._profile = Path(tempfile.mkdtemp(prefix=_PROFILE_PREFIX, dir=self._folder))
        owner = identify(os.getpid())
        assert owner is not None  # noqa: S101 - we run
        (self._profile / _OWNER_FILE).write_text(f"{owner.pid} {owner.born}", encoding="ascii")

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101 - asked for above
        # A full pipe would stop the browser; a line longer than the buffer is of no interest.
        while said := await process.stderr.read(65536):
            lines = said.decode(errors="replace").splitlines()
            self._tail.extend(line.strip()[:300] for line in lines if line.strip())

    def _said(self) -> str:
        return "".join(f"\n  | {line}" for line in self._tail)


def delete_left_profiles(folder: Path) -> None:
    """Delete the profiles whose owners were killed before they could."""
    for profile in folder.glob(f"{_PROFILE_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            if profile.is_symlink() or profile.stat().st_uid != os.geteuid():
                continue
            pid, _, born = (profile / _OWNER_FILE).read_text(encoding="ascii").partition(" ")
            if identify(int(pid)) != ProcessIdentity(int(pid), born):
                shutil.rmtree(profile, ignore_errors=True)


def _environment(profile: Path) -> dict[str, str]:
    # Neither our secrets nor a person's proxy settings are for a browser that visits anything.
    kept = {"PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "FONTCONFIG_PATH", "TMPDIR"}
    environ = {name: value for name, value in os.environ.items() if name in kept}
    if len(os.fsencode(environ.get("TMPDIR", ""))) + len(_SINGLETON_SOCKET) > _SOCKET_PATH_BYTES:
        del environ["TMPDIR"]  # Chromium would end at once: its socket's path has no room
    home = str(profile / "home")
    return environ | {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}


def _remedy(said: str) -> str:
    if "sandbox" in said:
        return (
            "this system does not let Chromium sandbox itself; allow user namespaces "
            "(sysctl kernel.unprivileged_userns_clone=1, or an AppArmor profile), or, if only "
            "trusted pages are opened, set AUTOSRE_CHROMIUM_SANDBOX=0"
        )
    if "shared libraries" in said:
        return "install what it names, or Debian's own: sudo apt-get install chromium"
    return "read the lines above; sudo apt-get install --reinstall chromium often fixes it"
