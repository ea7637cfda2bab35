"""Reads pages in a process of its own, which can be ended: a page may be made to take forever.

The same limits in a thread could only be asked for. What the process is told and answers is JSON:
nothing that a page has made is unpickled or run here.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from threading import BoundedSemaphore, Lock
from typing import IO, TYPE_CHECKING, Any

from autosre_lab.errors import AutosreError, UnreadableError
from autosre_lab.web.address_guard import shown_url
from autosre_lab.web.environment import web_environment

if TYPE_CHECKING:
    from autosre_lab.web.documents import Document
    from autosre_lab.web.guarded_client import Reply

__all__ = ["read_apart"]

CPU_S = 20
"""Seconds of processor time for a page; the largest ordinary ones need three."""
WALL_S = 45.0
"""Seconds until a page is given up on a busy machine: below a tool's deadline."""
MEMORY_BYTES = 2 * 1024**3
MOST_AT_ONCE = 4
MOST_KEPT = 2
MOST_ANSWER_BYTES = 128 * 1024**2

_LENGTHS = struct.Struct(">QQ")
_MODULE = "autosre_lab.web.reading_process"


class _Reader:
    """One process; it reads a page after another and ends with the pipe to it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from {_MODULE} import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=web_environment(os.environ),
            start_new_session=True,  # Ctrl-C is for its owner, with whom it ends
        )

    def read(self, head: bytes, body: bytes) -> dict[str, Any]:
        """Return what the process answers.

        Raises:
            TimeoutError: It took too long.
            MemoryError: It needed too much memory, or ended otherwise.
        """
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        assert self._process.stdout is not None  # noqa: S101
        ends_at = time.monotonic() + WALL_S
        try:
            self._process.stdin.write(_LENGTHS.pack(len(head), len(body)) + head + body)
            self._process.stdin.flush()
            (length,) = struct.unpack(">Q", self._receive(8, ends_at))
            if length > MOST_ANSWER_BYTES:
                raise MemoryError
            answer: dict[str, Any] = json.loads(self._receive(length, ends_at))
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            if self._process.wait() == -signal.SIGXCPU:
                raise TimeoutError from error
            raise MemoryError from error
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _receive(self, length: int, ends_at: float) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        descriptor = self._process.stdout.fileno()
        pieces: list[bytes] = []
        while length:
            left = ends_at - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise TimeoutError
            piece = os.read(descriptor, min(length, 1024**2))
            if not piece:
                raise BrokenPipeError
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)


class _Readers:
    """Those that wait for the next page; how many read at once is bounded."""

    def __init__(self) -> None:
        self._waiting: list[_Reader] = []
        self._lock = Lock()
        self._places = BoundedSemaphore(MOST_AT_ONCE)
        atexit.register(self.close)

    def read(self, head: bytes, body: bytes) -> dict[str, Any]:
        with self._places:
            with self._lock:
                reader = self._waiting.pop() if self._waiting else None
            if reader is not None:
                try:
                    return self._read_with(reader, head, body)
                except MemoryError:
                    pass  # somebody may have ended it while it waited: a fresh one decides
            return self._read_with(_Reader(), head, body)

    def _read_with(self, reader: _Reader, head: bytes, body: bytes) -> dict[str, Any]:
        try:
            answer = reader.read(head, body)
        except BaseException:
            reader.close()
            raise
        with self._lock:
            if len(self._waiting) < MOST_KEPT:
                self._waiting.append(reader)
                return answer
        reader.close()
        return answer

    def close(self) -> None:
        while self._waiting:
            self._waiting.pop().close()


_READERS = _Readers()


def read_apart(reply: Reply) -> Document:
    """Return the text of what came, read in another process. Blocks; call it in a thread.

    Raises:
        UnreadableError: There is no text in it, or reading it takes too much.
    """
    from autosre_lab.web.documents import Document

    head = {
        "url": reply.url,
        "status": reply.status,
        "headers": dict(reply.headers),
        "is_cut": reply.is_cut,
        "is_unwanted": reply.is_unwanted,
    }
    try:
        answer = _READERS.read(json.dumps(head).encode(), reply.body)
    except (TimeoutError, MemoryError) as error:
        much = "time" if isinstance(error, TimeoutError) else "memory"
        raise UnreadableError(
            f"{shown_url(reply.url)} takes too much {much} to read and was given up",
            remedy="use another source; the page is built so that programs cannot read it",
        ) from error
    if "error" in answer:
        raise UnreadableError(answer["error"], remedy=answer["remedy"])
    return Document(**{**answer, "notes": tuple(answer["notes"])})


def serve() -> None:
    """Read pages from standard input until it ends; the other side of `read_apart`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints is no answer
    while lengths := source.read(_LENGTHS.size):
        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        limit = int(used.ru_utime + used.ru_stime) + CPU_S
        resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))
        _answer(source, answers, *_LENGTHS.unpack(lengths))


def _answer(source: IO[bytes], answers: IO[bytes], head: int, body: int) -> None:
    from autosre_lab.web.documents import read_document
    from autosre_lab.web.guarded_client import Reply

    fields = json.loads(source.read(head))
    try:
        said = asdict(read_document(Reply(**fields, body=source.read(body))))
    except AutosreError as error:
        said = {"error": error.message, "remedy": error.remedy}
    except MemoryError:
        raise
    except Exception as error:  # a library that a page has led astray
        why = f"{fields['url'][:200]} cannot be read ({type(error).__name__})"
        said = {"error": why, "remedy": "use another source"}
    text = json.dumps(said).encode()
    answers.write(struct.pack(">Q", len(text)) + text)
    answers.flush()
