"""What the trials of agents see of our proxy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from autosre_lab.agents.trial import TOKEN, AgentTrial, trial_servers
from autosre_lab.proxy.request_log import RequestLog


def test_a_requests_line_is_there_however_slow_the_disk_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = RequestLog._append

    def slowly(log: RequestLog, *given: Any) -> None:
        time.sleep(0.5)
        append(log, *given)

    monkeypatch.setattr(RequestLog, "_append", slowly)
    with trial_servers(tmp_path, window=4096, keepalive_s=10.0) as servers:
        lab = AgentTrial(
            upstream=servers.upstream,
            proxy_url=servers.proxy_url,
            request_log=servers.request_log,
            executable=Path("/nonexistent"),
            folder=tmp_path,
        )
        httpx.post(
            f"{servers.proxy_url}/v1/messages/count_tokens",
            json={"model": "m", "messages": [{"role": "user", "content": "hi"}]},
            headers={"authorization": f"Bearer {TOKEN}"},
        ).raise_for_status()
        assert [one["kind"] for one in lab.log_records()] == ["count_tokens"]
