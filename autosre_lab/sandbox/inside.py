"""Finishes the sandbox from inside, then becomes the program that is to run.

It is started by its text (``python -I -S -c``) with a plan in JSON, where nothing of this package
may be seen: standard library only. Whatever fails before the program starts is written to the
plan's `status` descriptor, and nothing is run: a sandbox with a hole is no sandbox.

Under bubblewrap the root is there already; otherwise it is built here: namespaces, a root of its
own from read-only binds, pivot_root. Then, for both, rights are given
up and limits set.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import re
import resource
import shutil
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT = 1, 2, 4, 8, 32
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18
_FLAGS = {"ro": _RDONLY, "nosuid": _NOSUID, "nodev": _NODEV, "noexec": _NOEXEC}
_FLAGS |= {"noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
_NEW_NS, _NEW_CGROUP, _NEW_UTS, _NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
_NEW_USER, _NEW_PID, _NEW_NET = 0x10000000, 0x20000000, 0x40000000
_DETACH = 2
_SET_DEATH_SIGNAL, _SET_DUMPABLE, _DROP_BOUNDING, _SUBREAPER, _NO_NEW_PRIVS, _AMBIENT = (
    1,
    4,
    24,
    36,
    38,
    47,
)
_SECCOMP = 22
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SETPCAP = 8
_SETS = ("CapPrm", "CapEff", "CapBnd")
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


def main() -> None:
    """Build what the plan tells, and become its program."""
    plan = json.loads(sys.argv[1])
    status = plan["status"]
    os.set_inheritable(status, False)  # noqa: FBT003
    try:
        if plan["build"]:
            _enter_namespaces(network=plan["network"])
            _build_root(plan)
        if plan["isolated"]:
            _give_up_rights(plan["uid"])
        os.chdir(plan["folder"])
        _limit(plan["limits"])
        _forbid(bytes.fromhex(plan["filter"]))
    except Exception as error:
        os.write(status, f"failed: {error}\n".encode())
        os._exit(125)
    if shutil.which(plan["command"][0]) is None:
        os.write(status, b"missing\n")
        os._exit(127)
    program = os.fork()
    if program:
        os.close(status)
        _be_the_first_process(program)
    os.write(status, b"ready\n")
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.closerange(3, 1 << 16)
    try:
        os.execvp(plan["command"][0], plan["command"])  # noqa: S606
    except OSError as error:
        os.write(2, f"{plan['command'][0]}: {error.strerror}\n".encode())
        os._exit(126)


def _be_the_first_process(program: int) -> None:
    """Reap what ends until the program has; with this process all others end.

    It has the program's user, so it keeps nothing that the program could reach: no descriptor,
    and nobody may trace it or read its memory.
    """
    _call("prctl", _SET_DUMPABLE, 0, 0, 0, 0)
    _call("prctl", _SUBREAPER, 1, 0, 0, 0)  # where it is not the first of a namespace
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pid, code = os.wait()
        if pid == program:
            _end_children()
            os._exit(_exit_code(code))


def _end_children() -> None:
    """For where no process id namespace does it."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while left := children.read_text("utf-8").split():
        for one in left:
            os.kill(int(one), signal.SIGKILL)
            os.waitpid(int(one), 0)


def _exit_code(code: int) -> int:
    return 128 + os.WTERMSIG(code) if os.WIFSIGNALED(code) else os.WEXITSTATUS(code)


def _enter_namespaces(*, network: bool) -> None:
    uid, gid = os.getuid(), os.getgid()
    kinds = _NEW_NS | _NEW_PID | _NEW_IPC | _NEW_UTS | _NEW_CGROUP
    kinds |= (_NEW_USER if uid else 0) | (0 if network else _NEW_NET)
    _call("unshare", kinds, what="namespaces")
    if uid:
        Path("/proc/self/setgroups").write_text("deny", "utf-8")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", "utf-8")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", "utf-8")
    if not network:
        with socket.socket() as probe:  # the loopback, up
            request = struct.pack("16sh14x", b"lo", 1)
            fcntl.ioctl(probe, 0x8914, request)
    child = os.fork()
    if child:
        _, code = os.waitpid(child, 0)
        os._exit(_exit_code(code))
    _call("prctl", _SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def _build_root(plan: dict[str, Any]) -> None:
    os.umask(0o022)
    _mount(None, "/", flags=_REC | _PRIVATE)
    _mount("tmpfs", "/tmp", kind="tmpfs", flags=_NOSUID | _NODEV, data="size=1m,mode=755")  # noqa: S108
    for name in ("new", "old"):
        Path("/tmp", name).mkdir()  # noqa: S108
    _pivot("/tmp", "/tmp/old")  # noqa: S108
    os.chdir("/")
    _mount("/new", "/new", flags=_BIND | _REC)
    hardened = _NOSUID | _NODEV | _NOEXEC
    size = f"size={plan['scratch_bytes']},nr_inodes=16384,mode=1777"
    _mount("tmpfs", _new("/tmp"), kind="tmpfs", flags=_NOSUID | _NODEV, data=size)  # noqa: S108
    _mount("tmpfs", _new("/dev/shm"), kind="tmpfs", flags=hardened, data=size)  # noqa: S108
    for path, target in plan["links"].items():
        Path("/new", path.lstrip("/")).symlink_to(target)
    for path, source in plan["shown"].items():
        _bind(source, path, _RDONLY | _NOSUID | _NODEV)
    for path in _DEVICES:
        _bind(path, path, _NOSUID | _NOEXEC)
    for name, target in _DEVICE_LINKS.items():
        Path("/new/dev", name).symlink_to(target)
    terminals = "newinstance,ptmxmode=0666,mode=620"
    _mount("devpts", _new("/dev/pts"), kind="devpts", flags=_NOSUID | _NOEXEC, data=terminals)
    _mount("proc", _new("/proc"), kind="proc", flags=hardened)
    _bind(plan["folder"], plan["folder"], _NOSUID | _NODEV)
    if os.getuid():  # these are this user namespace's own
        Path("/new/proc/sys/user/max_user_namespaces").write_text("0", "utf-8")
    _call("umount2", b"/old", _DETACH, what="the old root")
    os.chdir("/new")
    _pivot(".", ".")
    _call("umount2", b".", _DETACH, what="the old root")
    os.chdir("/")
    _mount(None, "/", flags=_REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def _bind(source: str, path: str, flags: int) -> None:
    """Show a path of the machine, without links in it, with everything mounted below it."""
    old = Path("/old", source.lstrip("/"))
    _made(path, folder=old.is_dir())
    _mount(str(old), f"/new{path}", flags=_BIND | _REC)
    for line in Path("/old/proc/self/mountinfo").read_text("utf-8").splitlines():
        where, options = line.split()[4:6]
        where = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), where)
        if where == f"/new{path}" or where.startswith(f"/new{path}/"):
            # What another user namespace has locked may be added to, not taken away.
            kept = sum(_FLAGS.get(one, 0) for one in options.split(","))
            _mount(None, where, flags=_REMOUNT | _BIND | flags | kept)


def _new(path: str) -> str:
    return str(_made(path, folder=True))


def _made(path: str, *, folder: bool) -> Path:
    made = Path("/new", path.lstrip("/"))
    made.parent.mkdir(parents=True, exist_ok=True)
    if folder:
        made.mkdir(exist_ok=True)
    elif not made.exists():
        made.touch()
    return made


def _give_up_rights(uid: int | None) -> None:
    _LIBC.syscall(_KEYCTL[platform.machine()], 1, None)  # JOIN_SESSION_KEYRING: an empty one
    _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
    _call("prctl", _AMBIENT, 4, 0, 0, 0)  # CLEAR_ALL
    if _rights() & 1 << _SETPCAP:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text("utf-8"))
        for one in range(last + 1):
            _call("prctl", _DROP_BOUNDING, one, 0, 0, 0)
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
    _call("capset", header, nothing)
    if _rights() or os.getuid() == 0:
        raise PermissionError("the rights of an administrator could not be given up")


def _rights() -> int:
    told = Path("/proc/self/status").read_text("utf-8")
    return max(int(line.split()[1], 16) for line in told.splitlines() if line[:6] in _SETS)


def _forbid(program: bytes) -> None:
    """Install the filter of calls; it holds for all that come after."""
    if program:
        steps = ctypes.create_string_buffer(program, len(program))
        given = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(steps))
        _call("prctl", _SECCOMP, 2, given, 0, 0)


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _mount(
    source: str | None, target: str, *, kind: str | None = None, flags: int, data: str = ""
) -> None:
    words = [None if one is None else one.encode() for one in (source, target, kind)]
    _call("mount", *words, flags, data.encode(), what=f"mount {target}")


def _pivot(new: str, old: str) -> None:
    number = _PIVOT_ROOT[platform.machine()]
    _call("syscall", number, new.encode(), old.encode(), what="pivot_root")


def _call(name: str, *arguments: Any, what: str = "") -> None:
    words = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    if getattr(_LIBC, name)(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what or name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
