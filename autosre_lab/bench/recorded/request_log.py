"""The proxy's request log as recorded sessions: sizes and times, contents it never had."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from autosre_lab.bench.recorded.request import RecordedRequest, RecordedSession
from autosre_lab.errors import BenchmarkError
from autosre_lab.proxy.request_log import RequestRecord

__all__ = ["records_in_request_log", "sessions_in_request_log"]


def records_in_request_log(path: str | Path) -> list[RequestRecord]:
    """Return every record of a request log, the part that was turned over included."""
    file = Path(path)
    decoder = msgspec.json.Decoder(RequestRecord)
    found = []
    for part in (file.with_name(file.name + ".1"), file):
        if not part.exists():
            continue
        for line in part.read_bytes().splitlines():
            try:
                found.append(decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # half a line, of a machine that lost power
    return found


def sessions_in_request_log(path: str | Path) -> list[RecordedSession]:
    """Return the sessions of a request log, the part that was turned over included.

    Counts, failed requests and requests without a session are left out.

    Raises:
        BenchmarkError: There is no session in it.
    """
    sessions: dict[str, list[RecordedRequest]] = {}
    for record in records_in_request_log(path):
        if record.session and record.status == 200 and record.kind != "count_tokens":
            sessions.setdefault(record.session, []).append(_request(record))
    if not sessions:
        raise BenchmarkError(
            f"{path} holds no session of Claude Code",
            remedy="use the stack with `autosre claude` first; `autosre status` names the log",
        )
    return [
        RecordedSession(id=name, requests=tuple(sorted(found, key=lambda one: one.start_s)))
        for name, found in sessions.items()
    ]


def _request(record: RequestRecord) -> RecordedRequest:
    start_s = datetime.fromisoformat(record.time.replace("Z", "+00:00")).timestamp()
    return RecordedRequest(
        start_s=start_s,
        end_s=start_s + (record.total_ms or 0.0) / 1e3,
        model=record.model,
        input_tokens=record.input_tokens + record.cached_tokens,
        cached_tokens=record.cached_tokens,
        output_tokens=record.output_tokens,
        stop=record.stop_reason,
        ttft_s=None if record.ttft_ms is None else record.ttft_ms / 1e3,
        agent=record.agent,
    )
