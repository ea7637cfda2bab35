"""One JSON line a request: sizes, times and outcome, never contents."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from autosre_lab.errors import ConfigError, MissingExtraError
from autosre_lab.logs import get_logger
from autosre_lab.private_files import open_private
from autosre_lab.proxy.key_usage import KeySpending
from autosre_lab.proxy.resuming import ResumeOutcome

if TYPE_CHECKING:
    import pandas

__all__ = ["RequestLog", "RequestRecord", "read_request_log"]

logger = get_logger(__name__)


class RequestRecord(msgspec.Struct, kw_only=True):
    """What is kept of one request. Times are milliseconds, sizes bytes, counts tokens.

    Attributes:
        time: Its arrival, ISO 8601, UTC.
        request_id: As the client was told it in the `request-id` header.
        session: Claude Code's session id, or "".
        agent: The subagent's id, or "".
        key: The name of the client's key that was shown; "" for the owner's token.
        kind: main, subagent, compaction, background; count_tokens for counts.
        model: The name the client asked for.
        status: HTTP status of the answer; 499 where the client went away first.
        error: Anthropic error type, also of an error inside a stream; "" for none.
        stream: The client asked for a stream.
        bytes_in: The request body.
        bytes_out: The answer.
        messages: Messages in the request.
        tools: Tools in the request.
        max_tokens: The limit sent to the engine.
        counted: How the window was checked: "bound", "exact", or "" if it was not.
        input_tokens: Prompt tokens that were not in the prefix cache; of all questions to the
            engine together, where an answer took several.
        cached_tokens: Prompt tokens that were.
        output_tokens: Generated tokens.
        added_ms: From arrival until the request was sent to the engine.
        ttft_ms: From arrival to the first token; None if there was none.
        total_ms: From arrival to the end.
        keepalives: Signs of life written while the engine was silent.
        stop_reason: Anthropic's stop reason; "" where the answer was not finished.
        searches: Web searches made for it that had an answer.
        resend: It repeated a request that was still running.
        resumed: How often the engine was asked again because it had broken off.
        resume: What came of that: again, continued, call_again, ended, gave_up or client_gone.
        disconnected: The client went away before the end.
        prompt_bytes: Tools and messages as the engine got them; 0 where no session was named, and
            the same of what follows.
        same_as: The request whose prompt this one begins like, as far as that goes: the last of
            this conversation, or one of another; "" for none.
        same_bytes: How many leading bytes of the prompt are the same.
        system_digest: Of the system prompt; "" without one. Digests tell whether something
            changed between two requests, never what it says.
        tools_digest: Of the tools in their order; "" without tools.
        toolset_digest: Of the tools in any order.
    """

    time: str
    request_id: str
    session: str = ""
    agent: str = ""
    key: str = ""
    kind: str = ""
    model: str = ""
    status: int = 0
    error: str = ""
    stream: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    messages: int = 0
    tools: int = 0
    max_tokens: int | None = None
    counted: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    added_ms: float | None = None
    ttft_ms: float | None = None
    total_ms: float | None = None
    keepalives: int = 0
    stop_reason: str = ""
    searches: int = 0
    resend: bool = False
    resumed: int = 0
    resume: ResumeOutcome = ""
    disconnected: bool = False
    prompt_bytes: int = 0
    same_as: str = ""
    same_bytes: int = 0
    system_digest: str = ""
    tools_digest: str = ""
    toolset_digest: str = ""


class RequestLog:
    """Appends records to a file from a thread of its own, so that no request waits for a disk.

    Attributes:
        spending: What each client's key has used today, by the lines of the file.

    Args:
        path: The file; its folder is made. None writes nothing.
        max_bytes: Size at which the file becomes `<name>.1` and a new one is begun.
        of_keys: Read what clients' keys have used already; else none has used anything.

    Raises:
        ConfigError: The folder cannot be written to.
    """

    def __init__(self, path: Path | None, *, max_bytes: int, of_keys: bool = False) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._file = -1
        self._same: tuple[int, ...] = ()
        if path is None:
            self.spending = KeySpending(None)
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _end_last_line(path)
            self.spending = KeySpending(path if of_keys else None)
            self._open(path)
        except OSError as error:
            raise ConfigError(
                f"the request log {path} cannot be written: {error.strerror}",
                remedy="give another --request-log, or make its folder writable",
            ) from error
        self._thread = threading.Thread(target=self._write, name="request-log", daemon=True)
        self._thread.start()

    def add(self, record: RequestRecord) -> None:
        """Queue a record; returns at once."""
        self.spending.add(record)
        if self._thread is not None:
            self._queue.put(msgspec.json.encode(record) + b"\n")

    def close(self) -> None:
        """Write what is queued and end."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
            self._close()

    def _write(self) -> None:
        path = self._path
        assert path is not None  # noqa: S101 - the thread exists only with a path
        while (line := self._queue.get()) is not None:
            try:
                self._append(path, line)
            except OSError as error:
                logger.warning("a line of the request log is lost: %s", error)

    def _append(self, path: Path, line: bytes) -> None:
        # Each call of the system lets go of the interpreter, which the streams then wait for.
        found = _identity(path)
        if found[:-1] != self._same or self._file < 0:
            # Whoever moved or deleted the file is not written after.
            self._close()
            found = self._open(path)
        size = found[-1] + len(line)
        while line:
            line = line[os.write(self._file, line) :]
        if size >= self._max_bytes:
            path.replace(path.with_name(path.name + ".1"))

    def _open(self, path: Path) -> tuple[int, ...]:
        self._file = open_private(path, os.O_WRONLY | os.O_APPEND)
        found = _identity(path)
        self._same = found[:-1]
        return found

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _identity(path: Path) -> tuple[int, ...]:
    """Return what tells a file from another at its path, its mode, and at the end its size."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return (0,)
    return found.st_dev, found.st_ino, found.st_mode, found.st_size


def _end_last_line(path: Path) -> None:
    """End half a line, of a machine that lost power: the next one would be lost with it."""
    with os.fdopen(open_private(path, os.O_RDWR | os.O_APPEND), "r+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def read_request_log(path: str | Path) -> pandas.DataFrame:
    """Read a request log, the part that was turned over included.

    Args:
        path: The file; one that does not exist yet gives an empty table.

    Returns:
        One row a request in order of completion, a column for each field of `RequestRecord`;
        `time` as UTC timestamps.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("the request log as a DataFrame", extra="notebooks") from error
    file = Path(path)
    rows: list[dict[str, object]] = []
    decoder = msgspec.json.Decoder(RequestRecord)
    for part in (file.with_name(file.name + ".1"), file):
        if not part.exists():
            continue
        for line in part.read_bytes().splitlines():
            try:
                rows.append(msgspec.structs.asdict(decoder.decode(line)))
            except (msgspec.DecodeError, UnicodeDecodeError):
                # A machine that lost power leaves half a line; the others are still true.
                continue
    frame = pandas.DataFrame(rows, columns=list(RequestRecord.__struct_fields__))
    frame["time"] = pandas.to_datetime(frame["time"], utc=True)
    return frame
