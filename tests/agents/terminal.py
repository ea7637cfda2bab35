"""A terminal for a full-screen program, and what stands on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyte

COLUMNS, ROWS = 120, 40


class Terminal:
    """A screen that the program draws on.

    Programs of this kind rewrite only the cells that change, so what they write cannot be read
    without a screen; and they break lines where they like, so texts are compared without blanks.
    """

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process = process
        self._screen = screen
        self._cells = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._cells)

    @property
    def shown(self) -> str:
        return "".join("".join(self._cells.display).split())

    def wait_for(self, *texts: str, timeout_s: float = 30.0) -> str:
        """Wait until one of the texts has been shown, and return it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for text in texts:
                if "".join(text.split()) in self.shown:
                    return text
            if not self._read(deadline - time.monotonic()):
                break
        raise AssertionError(f"none of {texts} was shown, but: {self.shown[-3000:]}")

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def choose(self, key: str, question: str, timeout_s: float = 60.0) -> None:
        """Press a key until a question has gone: a key before the program reads any is lost."""
        deadline = time.monotonic() + timeout_s
        while "".join(question.split()) in self.shown:
            assert time.monotonic() < deadline, f"{question} stays: {self.shown[-3000:]}"
            self.type(key)
            self._read_until(lambda: "".join(question.split()) not in self.shown)

    def leave(self, key: str, again: str = "", timeout_s: float = 60.0) -> int:
        """Press a key until the program ends: while an answer is drawn it only interrupts that.

        Args:
            key: The key.
            again: What a program writes that wants the key twice, within a moment.
            timeout_s: How long to try.
        """
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):  # it ended just now
                self.type(key)
                if again and self._read_until(lambda: "".join(again.split()) in self.shown):
                    self.type(key)
            self._read_until(lambda: self.process.poll() is not None)
        return self.process.wait(0.1)

    def _read_until(self, condition: Callable[[], bool], timeout_s: float = 3.0) -> bool:
        deadline = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < deadline:
            self._read(0.1)
        return condition()

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._screen], [], [], max(0.0, timeout_s))
        if not ready:
            return self.process.poll() is None
        try:
            written = os.read(self._screen, 65536)
        except OSError:  # the program has ended and closed its side
            return False
        self._stream.feed(written)
        return bool(written)


@contextmanager
def terminal(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Iterator[Terminal]:
    screen, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        argv,
        env={**env, "TERM": "xterm-256color"},
        cwd=cwd,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    try:
        yield Terminal(process, screen)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        os.close(screen)
