"""What an attacker would like to have, laid out on this machine; and whether it was touched."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import secrets
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_ADD_KEY = {"x86_64": 248, "aarch64": 217}
_CREATE = 0o1000 | 0o666


class Prey:
    """Files, sockets, a process, a key and a word in the environment."""

    def __init__(self, folder: Path) -> None:
        self.word = secrets.token_hex(8)
        self.writable, self.secret = folder / "writable", folder / "secret"
        for file in (self.writable, self.secret):
            file.write_text("as it was", "utf-8")
            file.chmod(0o666)
        self._owners = [self.writable.stat().st_uid, folder.stat().st_uid]
        self._folder = folder
        os.environ["AUTOSRE_SANDBOX_PREY"] = self.word
        self._process = subprocess.Popen(["sleep", "600"])
        self._servers = [socket.create_server(("127.0.0.1", 0))]
        for name in (str(folder / "s"), f"\0{self.word}"):
            server = socket.socket(socket.AF_UNIX)
            server.bind(name)
            server.listen()
            self._servers.append(server)
        (folder / "s").chmod(0o777)
        number = _ADD_KEY[platform.machine()]
        _LIBC.syscall(number, b"user", self.word.encode(), b"secret", 6, -3)
        self.shared_memory = secrets.randbits(30)
        self._segment = _LIBC.shmget(self.shared_memory, 4096, _CREATE)
        home = Path.home()
        parents = [part for one in {sys.prefix, sys.base_prefix} for part in Path(one).parts]
        self.told: dict[str, Any] = {
            "writable": str(self.writable),
            "secret": str(self.secret),
            "home": str(home),
            "key": str(home / ".ssh" / "id_ed25519"),
            "python_parents": parents,
            "pid": self._process.pid,
            "word": self.word,
            "port": self._servers[0].getsockname()[1],
            "unix": str(folder / "s"),
            "abstract": self.word,
            "shared_memory": self.shared_memory,
        }

    def touched(self) -> list[str]:
        """Return what was changed or reached."""
        found = []
        if [self.writable.read_text("utf-8"), self.secret.read_text("utf-8")] != ["as it was"] * 2:
            found.append("a file")
        if [self.writable.stat().st_uid, self._folder.stat().st_uid] != self._owners:
            found.append("an owner")
        if {one.name for one in self._folder.iterdir()} != {"writable", "secret", "s"}:
            found.append("its folder")
        if self._process.poll() is not None:
            found.append("the process")
        if select.select(self._servers, [], [], 0)[0]:
            found.append("a socket")
        return found

    def close(self) -> None:
        """Take it away."""
        self._process.kill()
        self._process.wait()
        for server in self._servers:
            server.close()
        if self._segment >= 0:
            _LIBC.shmctl(self._segment, 0, None)
        del os.environ["AUTOSRE_SANDBOX_PREY"]


@contextlib.contextmanager
def laid_out(folder: Path) -> Iterator[Prey]:
    """Lay it out in a folder for a block."""
    prey = Prey(folder)
    try:
        yield prey
    finally:
        prey.close()
