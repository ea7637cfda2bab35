"""The user's own sessions: read, kept as traces that other tools replay too, and sent again."""

from __future__ import annotations

from autosre_lab.bench.recorded.cache_profile import (
    CAUSES,
    TurnCache,
    cache_profile,
    missed_totals,
    profile_rows,
)
from autosre_lab.bench.recorded.request import RecordedRequest, RecordedSession
from autosre_lab.bench.recorded.request_log import records_in_request_log, sessions_in_request_log
from autosre_lab.bench.recorded.transcript import read_transcript, workload_from_transcript
from autosre_lab.bench.recorded.weka import (
    read_weka,
    weka_trace,
    workload_from_weka,
    write_weka,
)

__all__ = [
    "CAUSES",
    "RecordedRequest",
    "RecordedSession",
    "TurnCache",
    "cache_profile",
    "missed_totals",
    "profile_rows",
    "read_transcript",
    "read_weka",
    "records_in_request_log",
    "sessions_in_request_log",
    "weka_trace",
    "workload_from_transcript",
    "workload_from_weka",
    "write_weka",
]
