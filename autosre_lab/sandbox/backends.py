"""What isolates: bubblewrap where there is one, else namespaces made here."""

from __future__ import annotations

import json
import os
import platform
import shutil
import site
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from autosre_lab.sandbox.limits import SandboxLimits
from autosre_lab.sandbox.syscalls import filter_program

__all__ = ["SCRATCH_BYTES", "Isolation", "command_line", "missing"]

Isolation = Literal["bubblewrap", "namespaces", "none"]

SCRATCH_BYTES = 64 << 20
"""Of /tmp and of /dev/shm, each; they are memory."""

_SYSTEM: tuple[str, ...] = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# No keys, no shadow, no machine id: what programs need to run at all.
_ETC: tuple[str, ...] = (
    "alternatives",
    "ca-certificates",
    "group",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
)
_ETC += ("localtime", "mime.types", "nsswitch.conf", "passwd", "pki/tls/certs", "protocols")
_ETC += ("services", "ssl/certs", "ssl/openssl.cnf", "timezone")
_ETC_NETWORK: tuple[str, ...] = ("gai.conf", "hosts", "resolv.conf")
_INSIDE = Path(__file__).with_name("inside.py")


def command_line(
    how: Isolation,
    command: Sequence[str],
    *,
    folder: Path,
    limits: SandboxLimits,
    network: bool,
    readable: Iterable[Path],
    status: int,
    uid: int | None,
) -> list[str]:
    """Return the command that runs another one isolated.

    Args:
        how: By what.
        command: To be run.
        folder: The one that it can write to; resolved.
        limits: Of each process.
        network: Leave it the network of this machine.
        readable: Shown read-only besides the system's programs and this Python.
        status: Descriptor that hears ``ready`` before the command starts, or why it did not.
        uid: To become, where this process is user 0.
    """
    shown, links = _shown(readable, network=network)
    plan = {
        "status": status,
        "build": how == "namespaces",
        "isolated": how != "none",
        "network": network,
        "shown": shown,
        "links": links,
        "folder": str(folder),
        "scratch_bytes": SCRATCH_BYTES,
        "uid": uid,
        "filter": "" if how == "none" else filter_program(platform.machine()).hex(),
        "limits": limits.of_each_process(own_user=uid is not None and how != "none"),
        "command": list(command),
    }
    inside = [sys.executable, "-I", "-S", "-c", _INSIDE.read_text("utf-8"), json.dumps(plan)]
    if how != "bubblewrap":
        return inside
    return [*_bubblewrap(shown, links, folder, network=network, root=uid is not None), *inside]


def _bubblewrap(
    shown: dict[str, str], links: dict[str, str], folder: Path, *, network: bool, root: bool
) -> list[str]:
    words = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += [] if network else ["--unshare-net"]
    words += ["--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"]
    if root:  # a real administrator: the user that it becomes is no owner of anything
        for one in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            words += ["--cap-add", one]
    else:
        words += ["--unshare-user", "--disable-userns"]
    size = str(SCRATCH_BYTES)
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += ["--perms", "1777", "--size", size, "--tmpfs", "/tmp"]  # noqa: S108
    words += ["--perms", "1777", "--size", size, "--tmpfs", "/dev/shm"]  # noqa: S108
    words += _on_the_way(shown)
    for path, target in links.items():
        words += ["--symlink", target, path]
    for path, source in shown.items():
        words += ["--ro-bind", source, path]
    words += [*_on_the_way([str(folder)]), "--bind", str(folder), str(folder), "--chdir", "/"]
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--"]


def _on_the_way(paths: Iterable[str]) -> list[str]:
    """Make the folders above; bubblewrap by itself would make them for user 0 alone."""
    above = sorted({str(one) for path in paths for one in Path(path).parents})
    return [word for one in above if one != "/" for word in ("--dir", one)]


def _shown(readable: Iterable[Path], *, network: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return what is shown read-only, with where it is, and links to make with their targets."""
    etc = [Path("/etc", name) for name in (*_ETC, *(_ETC_NETWORK if network else ()))]
    wanted = [*map(Path, _SYSTEM), *etc, *_python(), *(one.absolute() for one in readable)]
    links = {str(one): str(one.readlink()) for one in map(Path, _SYSTEM) if one.is_symlink()}
    there = sorted({one for one in wanted if os.access(one, os.R_OK) and str(one) not in links})
    outer: list[Path] = []
    for one in there:
        if not any(one.is_relative_to(other) for other in outer):
            outer.append(one)
    return {str(one): str(one.resolve()) for one in outer}, links


def _python() -> Iterator[Path]:
    """Yield where this interpreter and its packages are."""
    yield from (Path(one) for one in (sys.prefix, sys.base_prefix, sys.exec_prefix))
    yield Path(sys.executable).resolve().parent
    packages = (*site.getsitepackages(), *sys.path)
    yield from (Path(one) for one in packages if one.endswith(("site-packages", "dist-packages")))


def missing(how: Isolation) -> str:
    """Return what a backend needs and this machine lacks, or ""."""
    if how != "none" and platform.machine() not in ("x86_64", "aarch64"):
        return f"its calls of the kernel are not known on {platform.machine()}"
    if how == "bubblewrap" and shutil.which("bwrap") is None:
        return "bwrap is not installed"
    return ""
