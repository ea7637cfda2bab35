"""Files as a machine without power or another program leaves them: refused, or read on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.bench import load_result
from autosre_lab.bench.recorded.request_log import records_in_request_log
from autosre_lab.bench.recorded.transcript import read_transcript
from autosre_lab.bench.recorded.weka import read_weka
from autosre_lab.bench.synthetic.catalogue import load_workload
from autosre_lab.errors import AutosreError
from autosre_lab.evaluation.result import load_evaluation
from autosre_lab.proxy import read_request_log

SPOILT = {
    "no text": b'{"schema": "\xff"}',
    "half a character": b'{"schema": "\xc3"}',
    "nothing": b"",
    "zeros": bytes(64),
    "nested": b"[" * 100_000,
    "another shape": b'{"type":"user","uuid":"a","timestamp":"2026-11-26T10:00Z","message":"x"}\n'
    b'{"type":"assistant","uuid":"b","timestamp":"2026-11-26T10:01Z","message":"x"}',
}


@pytest.mark.parametrize("content", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize(
    "load", [load_result, load_evaluation, load_workload, read_weka, read_transcript]
)
def test_a_file_that_is_no_text_is_refused_in_words(
    tmp_path: Path, load: Callable[[Path], Any], content: bytes
) -> None:
    file = tmp_path / "file.json"
    file.write_bytes(content)
    with pytest.raises(AutosreError) as told:
        load(file)
    assert str(file) in told.value.message
    assert told.value.remedy


def test_a_spoilt_line_of_a_log_costs_itself_only(tmp_path: Path) -> None:
    line = b'{"time":"2026-11-26T10:00:00.000Z","request_id":"r%d","kind":"main","status":200}\n'
    file = tmp_path / "requests.jsonl"
    file.write_bytes(line % 1 + b'{"time":"\xff"}\n' + bytes(9) + b'\n{"time":"\xc3\n' + line % 2)
    assert [one.request_id for one in records_in_request_log(file)] == ["r1", "r2"]
    assert list(read_request_log(file)["request_id"]) == ["r1", "r2"]
