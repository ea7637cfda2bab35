"""The user's own sessions: read, kept as traces that other tools replay too, and sent again."""

from __future__ import annotations

from autosre_lab.bench.recorded.request import RecordedRequest, RecordedSession
from autosre_lab.bench.recorded.request_log import sessions_in_request_log
from autosre_lab.bench.recorded.transcript import read_transcript, workload_from_transcript
from autosre_lab.bench.recorded.weka import (
    read_weka,
    weka_trace,
    workload_from_weka,
    write_weka,
)

__all__ = [
    "RecordedRequest",
    "RecordedSession",
    "read_transcript",
    "read_weka",
    "sessions_in_request_log",
    "weka_trace",
    "workload_from_transcript",
    "workload_from_weka",
    "write_weka",
]
