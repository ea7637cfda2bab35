"""What the real cluster's tests need on its node: ``python -m tests.cluster.real_images``.

The node is this machine. The images are built here from Debian's packages, and the engine that
they mount is installed here; the tests themselves need no network.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from autosre_lab.chart.image import BROWSER, PROXY, deliver_image
from autosre_lab.provision import provision, provision_claude_code
from autosre_lab.recipe import load_recipe

BASE = "localhost/autosre-test-base:1"
"""Debian with Python, and the library that vLLM's workers on the CPU need."""

PACKAGES = "python3,python3-venv,ca-certificates,libnuma1"


def import_command() -> list[str]:
    """What gives an archive to the node's containerd."""
    return shlex.split(os.environ.get("AUTOSRE_IMAGE_IMPORT", "k3s ctr images import"))


def deliver_base(folder: Path) -> None:
    """Build the base once a machine and give it to the node."""
    build_base(folder)
    exported = folder / "base.tar"
    _run("buildah", "push", "--quiet", BASE, f"docker-archive:{exported}:{BASE}")
    _run(*import_command(), str(exported))
    exported.unlink()


def build_base(folder: Path) -> None:
    """Build a Debian with what the Pods here need, once a machine."""
    if not _built(BASE):
        root = folder / "root"
        _run(
            "debootstrap",
            *("--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root), _mirror()),
        )
        archive = folder / "root.tar"
        skipped = [f"--exclude=./{name}/*" for name in ("dev", "proc", "sys", "var/cache/apt")]
        _run("tar", "-C", str(root), *skipped, "-cf", str(archive), ".")
        container = _run("buildah", "from", "scratch").strip()
        try:
            _run("buildah", "add", "--quiet", container, str(archive), "/")
            _run("buildah", "config", "--cmd", '["sleep", "infinity"]', container)
            _run("buildah", "commit", "--quiet", container, BASE)
        finally:
            _run("buildah", "rm", container)
        shutil.rmtree(root)
        archive.unlink()


def deliver_proxy() -> None:
    """Build the proxies' image from this checkout and give it to the node."""
    deliver_image(PROXY, base=BASE, import_command=import_command())


def deliver_browser() -> None:
    """Build the browser's image from this checkout and give it to the node."""
    deliver_image(BROWSER, base=BASE, import_command=import_command())


def _built(name: str) -> bool:
    return bool(_run("buildah", "images", "--quiet", "--filter", f"reference={name}").strip())


def _mirror() -> str:
    """Where this machine itself gets Debian's packages."""
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    lines = sources.read_text(encoding="utf-8").splitlines() if sources.exists() else []
    for line in lines:
        if line.startswith("URIs:"):
            return line.split()[1]
    return "http://deb.debian.org/debian"


def _run(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", check=False
        )
    except FileNotFoundError as error:
        raise AssertionError(f"{command[0]} is missing: apt-get install {command[0]}") from error
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr[-2000:]}"
    return done.stdout


if __name__ == "__main__":
    provision(load_recipe("smollm2-135m-cpu"))
    provision_claude_code()
    with tempfile.TemporaryDirectory(prefix="autosre-images-", dir="/var/tmp") as scratch:
        deliver_base(Path(scratch))
    deliver_proxy()
    deliver_browser()
