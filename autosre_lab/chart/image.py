"""Builds this project's container images with whatever builds images on this machine."""

from __future__ import annotations

import contextlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autosre_lab.chart.from_recipe import BROWSER_IMAGE, PROXY_IMAGE
from autosre_lab.chart.rendering import chart_folder
from autosre_lab.errors import ClusterError
from autosre_lab.progress import step

__all__ = [
    "ARCHITECTURES",
    "BROWSER",
    "PROXY",
    "ImageKind",
    "build_context",
    "build_image",
    "copy_parts",
    "deliver_image",
    "export_image",
]

K3S_IMPORT = ("k3s", "ctr", "images", "import")
BUILDERS = ("buildah", "podman", "docker")
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
PYTHON = "3.11"
"""Debian bookworm's, which the image runs."""

_PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
PACKAGE = Path(__file__).resolve().parents[1]

_BASICS = (
    *(
        "__init__.py",
        "errors.py",
        "extras.py",
        "lazy.py",
        "logs.py",
        "private_files.py",
        "py.typed",
    ),
    "serving",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageKind:
    """One of this project's images.

    Attributes:
        folder: Its folder in the chart's ``images``.
        tag: Its name, as the chart has it.
        parts: What of the package it carries.
    """

    folder: str
    tag: str
    parts: tuple[str, ...]


# Of the web it needs the rules of a request; what searches needs packages that the image has not.
PROXY = ImageKind(folder="proxy", tag=PROXY_IMAGE, parts=(*_BASICS, "engine", "proxy", "web"))
BROWSER = ImageKind(
    folder="browser",
    tag=BROWSER_IMAGE,
    parts=(*_BASICS, "folders.py", "settings.py", "processes", "browser", "web"),
)


def deliver_image(
    kind: ImageKind = PROXY,
    *,
    tag: str | None = None,
    base: str | None = None,
    arch: str | None = None,
    output: Path | None = None,
    import_command: Sequence[str] | None = K3S_IMPORT,
) -> str:
    """Build an image and give it to the containerd of this machine.

    Args:
        kind: Which; the proxies' by default.
        tag: Its name; the one that the chart uses by default.
        base: The image it is built on.
        arch: ``amd64`` or ``arm64``; this machine's by default.
        output: Also keep the archive there.
        import_command: What imports an archive, whose path is appended; None imports nothing.

    Returns:
        What was done, in words.

    Raises:
        ClusterError: A step failed.
    """
    name = tag or kind.tag
    program = build_image(kind, tag=name, base=base, arch=arch or this_architecture())
    if output is None and import_command is None:
        return f"{name} is in {program}'s store"
    with tempfile.TemporaryDirectory(prefix="autosre-image-", dir=_roomy()) as folder:
        archive = export_image(output or Path(folder) / "image.tar", tag=name, builder=program)
        if import_command is not None:
            with step(f"Import {name}"):
                _run([*import_command, str(archive)])
    there = f"{name} is in {output}" if output is not None else f"{name} is built"
    return there if import_command is None else f"{there} and imported"


def this_architecture() -> str:
    """Return this machine's architecture, as images call it."""
    machine = platform.machine()
    return next((arch for arch, name in ARCHITECTURES.items() if name == machine), machine)


def build_image(
    kind: ImageKind = PROXY,
    *,
    tag: str | None = None,
    base: str | None = None,
    arch: str = "amd64",
    builder: str = "",
) -> str:
    """Build an image.

    Args:
        kind: Which; the proxies' by default.
        tag: Its name; the one that the chart uses by default.
        base: The image it is built on; Debian bookworm from Docker's registry by default.
        arch: ``amd64`` or ``arm64``; another one than this machine's needs qemu-user-static.
        builder: buildah, podman or docker; the first one found by default.

    Returns:
        The builder that has it now.

    Raises:
        ClusterError: There is no builder, or it failed.
    """
    program = _builder(builder)
    name = tag or kind.tag
    with build_context(kind, arch=arch) as context, step(f"Build {name} with {program}"):
        options = ["--platform", f"linux/{arch}", "--tag", name, "--file", "Containerfile"]
        if base is not None:
            options += ["--build-arg", f"BASE={base}"]
        if program == "buildah":
            # Needs no daemon and no user namespace; what apt installed is not installed again.
            options += ["--isolation", "chroot", "--format", "oci", "--layers"]
        verb = "bud" if program == "buildah" else "build"
        _run([program, verb, *options, "."], cwd=context)
    return program


def export_image(file: Path, *, tag: str = PROXY_IMAGE, builder: str = "") -> Path:
    """Write the image as an archive that containerd imports.

    Raises:
        ClusterError: The builder does not have it.
    """
    program = _builder(builder)
    file.unlink(missing_ok=True)
    if program == "docker":
        _run(["docker", "save", "--output", str(file), tag])
    else:
        _run([program, "push", tag, f"docker-archive:{file}:{tag}"])
    return file


@contextlib.contextmanager
def build_context(kind: ImageKind = PROXY, *, arch: str = "amd64") -> Iterator[Path]:
    """Yield a folder with everything the Containerfile copies; deleted afterwards.

    Args:
        kind: Which image; the proxies' by default.
        arch: ``amd64`` or ``arm64``.

    Raises:
        ClusterError: The wheels could not be fetched.
    """
    if arch not in ARCHITECTURES:
        raise ClusterError(
            f"{arch!r} is no architecture we build for",
            remedy=f"choose one of {', '.join(ARCHITECTURES)}",
        )
    source = chart_folder() / "images" / kind.folder
    with tempfile.TemporaryDirectory(prefix="autosre-image-") as folder:
        context = Path(folder)
        for file in source.iterdir():
            shutil.copy(file, context)
        copy_parts(kind, context / "autosre_lab")
        if (source / "requirements.txt").is_file():
            wheels = context / "wheels"
            wheels.mkdir()
            shutil.move(context / "requirements.txt", wheels)
            _fetch_wheels(wheels, arch, PACKAGE.parent / "constraints.txt")
        yield context


def copy_parts(kind: ImageKind, target: Path) -> None:
    """Copy what an image carries of this package into a folder."""
    for part in kind.parts:
        source, copy = PACKAGE / part, target / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "locks"))
        else:
            shutil.copy(source, copy)


def _roomy() -> str | None:
    # An archive of 200 MB is no guest for a /tmp in memory.
    return "/var/tmp" if Path("/var/tmp").is_dir() else None  # noqa: S108


def _fetch_wheels(wheels: Path, arch: str, constraints: Path) -> None:
    platforms = [f"{one}_{ARCHITECTURES[arch]}" for one in _PLATFORMS]
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--only-binary", ":all:", "--python-version", PYTHON, "--implementation", "cp"),
        *(part for platform in platforms for part in ("--platform", platform)),
        *("--dest", str(wheels), "--requirement", str(wheels / "requirements.txt")),
    ]
    if constraints.is_file():
        command += ["--constraint", str(constraints)]
    with step("Fetch the proxy's wheels"):
        _run(command)


def _builder(wanted: str) -> str:
    for program in [wanted] if wanted else BUILDERS:
        if shutil.which(program):
            return program
    raise ClusterError(
        f"{wanted or 'none of ' + ', '.join(BUILDERS)} is on PATH, so no image can be built",
        remedy="sudo apt-get install buildah",
    )


def _run(command: Sequence[str], *, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False
        )
    except FileNotFoundError as error:
        raise ClusterError(
            f"{command[0]} is not on PATH", remedy=f"install {command[0]}, or name another command"
        ) from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise ClusterError(
            f"{' '.join(command[:3])} … failed: {said}",
            remedy="fix what it says and run it again; nothing half-done is left",
        )
