"""What the real cluster's tests need on its node: ``python -m tests.cluster.real_images``.

The node is this machine. The images are built here from Debian's packages, and the engine that
they mount is installed here; the tests themselves need no network.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from autosre_lab.chart.image import (
    BROWSER,
    PROXY,
    ImageKind,
    build_image,
    copy_parts,
    export_image,
    this_architecture,
)
from autosre_lab.chart.rendering import chart_folder
from autosre_lab.provision import provision, provision_claude_code
from autosre_lab.recipe import load_recipe
from autosre_lab.settings import paths

BASE = "localhost/autosre-test-base:1"
"""Debian with Python, and the library that vLLM's workers on the CPU need."""

_ONE_AT_A_TIME = threading.Lock()

PACKAGES = "python3,python3-venv,ca-certificates,libnuma1"


def import_command() -> list[str]:
    """What gives an archive to the node's containerd."""
    return shlex.split(os.environ.get("AUTOSRE_IMAGE_IMPORT", "k3s ctr images import"))


def deliver_all() -> None:
    """Give all three images to the node, side by side."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda deliver: deliver(), (deliver_base, deliver_proxy, deliver_browser)))


def deliver_base() -> None:
    """Give the base to the node."""
    _import(_archive("base", _base_digest(), _export_base))


def deliver_proxy() -> None:
    """Give the proxies' image, made from this checkout, to the node."""
    _deliver(PROXY)


def deliver_browser() -> None:
    """Give the browser's image, made from this checkout, to the node."""
    _deliver(BROWSER)


def _deliver(kind: ImageKind) -> None:
    def export(file: Path) -> None:
        build_base()
        build_image(kind, base=BASE, arch=this_architecture())
        export_image(file, tag=kind.tag)

    _import(_archive(kind.folder, _image_digest(kind), export))


def _archive(name: str, digest: str, export: Callable[[Path], None]) -> Path:
    """Return an image's archive: made once for the same content, and kept in the cache."""
    folder = paths().cache / "test-images"
    file = folder / f"{name}-{digest[:16]}.tar"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for older in folder.glob(f"{name}-*"):
            older.unlink()
        partial = file.with_suffix(".partial")
        export(partial)
        partial.rename(file)
    return file


def _image_digest(kind: ImageKind) -> str:
    """Return what changes with an image's content."""
    with tempfile.TemporaryDirectory() as scratch:
        copy_parts(kind, Path(scratch) / "parts")
        shutil.copytree(chart_folder() / "images" / kind.folder, Path(scratch) / "recipe")
        shutil.copy(Path(__file__).parents[2] / "constraints.txt", scratch)
        digest = hashlib.sha256(_base_digest().encode())
        for file in sorted(Path(scratch).rglob("*")):
            if file.is_file():
                digest.update(f"{file.relative_to(scratch)}".encode() + file.read_bytes())
    return digest.hexdigest()


def _base_digest() -> str:
    return hashlib.sha256(f"{BASE} {PACKAGES}".encode()).hexdigest()


def _import(archive: Path) -> None:
    _run(*import_command(), str(archive))


def _export_base(file: Path) -> None:
    build_base()
    _run("buildah", "push", "--quiet", BASE, f"docker-archive:{file}:{BASE}")


def build_base() -> None:
    """Build a Debian with what the Pods here need, once a machine."""
    with _ONE_AT_A_TIME, tempfile.TemporaryDirectory(dir="/var/tmp") as scratch:
        if _built(BASE):
            return
        root, archive = Path(scratch) / "root", Path(scratch) / "root.tar"
        _run(
            "debootstrap",
            *("--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root), _mirror()),
        )
        skipped = [f"--exclude=./{name}/*" for name in ("dev", "proc", "sys", "var/cache/apt")]
        _run("tar", "-C", str(root), *skipped, "-cf", str(archive), ".")
        container = _run("buildah", "from", "scratch").strip()
        try:
            _run("buildah", "add", "--quiet", container, str(archive), "/")
            _run("buildah", "config", "--cmd", '["sleep", "infinity"]', container)
            _run("buildah", "commit", "--quiet", container, BASE)
        finally:
            _run("buildah", "rm", container)


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
    deliver_all()
