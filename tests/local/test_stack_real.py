"""The real vLLM under our hands: started, killed in every way, started again, stopped."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from autosre_lab.engine import VllmBackend
from autosre_lab.errors import StackBusyError
from autosre_lab.lifecycle import start, status, stop
from autosre_lab.processes.files import read_json
from autosre_lab.processes.identity import ProcessIdentity, session_members
from autosre_lab.stack import Stack
from tests.support.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


def ask(stack: Stack) -> int:
    answer = httpx.post(
        f"{stack.proxy_url}/v1/messages",
        json={"model": "m", "max_tokens": 3, "messages": [{"role": "user", "content": "Hi"}]},
        headers={"authorization": f"Bearer {stack.token}"},
        timeout=60,
        trust_env=False,
    )
    return answer.status_code


def leader(state: Path, service: str) -> ProcessIdentity:
    noted = read_json(state / f"{service}.json")
    assert noted is not None
    return ProcessIdentity(*noted["child"])


def test_the_backend_tells_what_runs(real_stack: Stack) -> None:
    with VllmBackend(real_stack.engine_url, api_key=real_stack.engine_key) as backend:
        assert backend.health()
        assert backend.version().startswith("0.32.0")
        assert (backend.models()[0].id, backend.max_model_len()) == ("smollm2-135m", 8192)
        assert "vllm:num_requests_running" in backend.metrics_text()
        assert backend.count_tokens("Hello world") == 2
        messages = [{"role": "user", "content": "Hello world"}]
        assert backend.count_tokens(messages=messages) > 2
        assert backend.first_token() > 0


def test_start_while_it_runs_changes_nothing(real_stack: Stack) -> None:
    before = status()
    again = start("smollm2-135m-cpu")
    assert again == real_stack
    pids = {name: service.pid for name, service in before.services.items()}
    assert {name: service.pid for name, service in status().services.items()} == pids
    assert real_stack.token not in repr(real_stack)


def test_another_recipe_has_to_wait_for_its_turn(real_stack: Stack) -> None:
    with pytest.raises(StackBusyError, match="smollm2-135m-cpu"):
        start("qwen3-coder-30b-a3b-fp8")


def test_the_token_is_in_no_command_line(real_stack: Stack) -> None:
    for process in psutil.process_iter(["cmdline"]):
        assert real_stack.token not in " ".join(process.info["cmdline"] or ())
        assert real_stack.engine_key
        assert real_stack.engine_key not in " ".join(process.info["cmdline"] or ())
    assert ask(real_stack) == 200
    for path in ("/v1/models", "/v1/chat/completions", "/v1/messages", "/invocations"):
        stranger = httpx.post(f"{real_stack.engine_url}{path}", json={}, trust_env=False)
        assert stranger.status_code == 401, path
    bare = httpx.post(f"{real_stack.proxy_url}/v1/messages", json={}, trust_env=False)
    assert bare.status_code == 401


def test_a_killed_proxy_is_back_before_a_client_gives_up(
    real_stack: Stack, real_stack_state: Path
) -> None:
    os.kill(leader(real_stack_state, "proxy").pid, signal.SIGKILL)
    until(lambda: status().services["proxy"].restarts >= 1, "the proxy's restart")
    until(lambda: status().state == "ready", "ready again")
    assert ask(real_stack) == 200


QUESTION: dict[str, Any] = {
    "model": "m",
    "max_tokens": 120,
    "stream": True,
    "messages": [{"role": "user", "content": "Write a long story about a lighthouse."}],
}


def test_a_killed_engine_leaves_nothing_and_comes_back_and_an_answer_goes_on(
    real_stack: Stack, real_stack_state: Path
) -> None:
    killed = leader(real_stack_state, "engine")
    assert len(session_members(killed)) >= 2  # the API server and the engine core
    restarts = status().services["engine"].restarts
    pieces: list[tuple[float, str]] = []
    events: list[dict[str, Any]] = []
    with httpx.stream(
        "POST",
        f"{real_stack.proxy_url}/v1/messages",
        json=QUESTION,
        headers={"authorization": f"Bearer {real_stack.token}"},
        timeout=600,
        trust_env=False,
    ) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data: "):
                continue
            event = json.loads(line.removeprefix("data: "))
            events.append(event)
            if text := event.get("delta", {}).get("text"):
                pieces.append((time.monotonic(), text))
                if len(pieces) == 5:
                    os.kill(killed.pid, signal.SIGKILL)
                    until(lambda: not session_members(killed), "the engine core's end", 30)
                    assert status().state in ("starting", "crashed")
    kinds = [event["type"] for event in events]
    assert kinds[-1] == "message_stop"
    assert "error" not in kinds
    assert events[-2]["delta"]["stop_reason"] in ("end_turn", "max_tokens")
    # The longest silence is the engine's restart; both sides of it are one text in one block.
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(pieces)]
    at = gaps.index(max(gaps)) + 1
    before, after = ("".join(text for _, text in part) for part in (pieces[:at], pieces[at:]))
    assert before.split()
    assert after.split()
    assert before.split()[-3:] != after.split()[:3]
    assert f"{before.split()[-1]} {before.split()[-1]}" not in f"{before[-40:]}{after[:40]}"
    turn = resumed_turn(real_stack)
    assert (turn["status"], turn["resumed"], turn["resume"]) == (200, 1, "continued")

    stack = start("smollm2-135m-cpu")  # waits for the supervisor's restart
    assert ask(stack) == 200
    assert status().services["engine"].restarts == restarts + 1


def resumed_turn(stack: Stack) -> dict[str, Any]:
    """Return the line of the one request that was asked again, when it is written."""
    assert stack.request_log is not None
    log = stack.request_log

    def found() -> list[dict[str, Any]]:
        records = map(json.loads, log.read_text("utf-8").split("\n")[:-1])
        return [one for one in records if one["resumed"]]

    until(found, "the request log's line")
    (turn,) = found()
    return turn


def test_killed_supervisors_take_their_services_along_and_start_recovers(
    real_stack: Stack, real_stack_state: Path
) -> None:
    leaders = [leader(real_stack_state, name) for name in ("engine", "proxy")]
    for name in ("engine", "proxy"):
        noted = read_json(real_stack_state / f"{name}.json")
        assert noted is not None
        os.kill(noted["supervisor"][0], signal.SIGKILL)
    until(
        lambda: not any(session_members(one) for one in leaders), "everything's end", timeout_s=60
    )
    assert status().state == "crashed"
    stack = start("smollm2-135m-cpu")
    assert ask(stack) == 200
    assert status().state == "ready"


def test_stop_ends_everything_and_may_be_repeated(
    real_stack: Stack, real_stack_state: Path
) -> None:
    leaders = [leader(real_stack_state, name) for name in ("engine", "proxy")]
    started = time.monotonic()
    assert stop().state == "stopped"
    assert time.monotonic() - started < 60
    assert not any(session_members(one) for one in leaders)
    assert stop().state == "stopped"
