"""A first token: over the proxy's address, else from inside its Pod; a 401 is told at once."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from autosre_lab.cluster import application_gate
from autosre_lab.cluster.application_gate import UnreachableError, generate_tokens
from autosre_lab.cluster.kube import ExecResult, Object
from autosre_lab.errors import AutosreError, ClusterError, KubeError, NotReadyError
from autosre_lab.progress import step

TOKEN = "the-token"
QUESTIONS: list[str] = []


class Pod:
    """A cluster with one proxy's Pod, in which a command answers."""

    def __init__(self, status: int = 200, *, token: str = TOKEN, refused: bool = False) -> None:
        self.asked: list[list[str]] = []
        self._refused = refused
        digest = hashlib.sha256(token.encode()).hexdigest()
        self._said = json.dumps({"status": status, "text": "from the Pod", "token": digest})

    def exec(self, pod: str, command: list[str], **_: Any) -> ExecResult:
        self.asked.append(command)
        if self._refused:
            raise KubeError("pods/exec is forbidden", remedy="-", status=403)
        return ExecResult(exit_code=0, stdout=self._said, stderr="")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application_gate, "POLL_S", 0.01)
    monkeypatch.setattr(application_gate, "REFUSED_S", 0.05)
    monkeypatch.setattr(application_gate, "UNREACHABLE_S", 0.05)
    pod: Object = {"metadata": {"name": "autosre-proxy-1"}}
    seen = type("Seen", (), {"pods": [pod]})
    monkeypatch.setattr(application_gate, "take_snapshot", lambda *_: seen)


@contextmanager
def proxy(*statuses: int) -> Iterator[tuple[int, list[str]]]:
    """A proxy on loopback that answers one status after the other; the last one for ever."""
    left, tokens = list(statuses), []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["content-length"]))
            QUESTIONS.append(said.decode())
            tokens.append(str(self.headers["authorization"]))
            status = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], tokens
    finally:
        server.shutdown()
        server.server_close()


def ask(
    port: int, pod: Pod, *, patience_s: float = 30.0, warm_up: tuple[int, ...] = ()
) -> application_gate.Readiness:
    section = {"clusterIP": "127.0.0.1", "port": port, "tokenSecret": {"name": "autosre-proxy"}}
    with step("test") as bar:
        return generate_tokens(
            pod,  # type: ignore[arg-type]
            {"proxy": section},
            TOKEN,
            bar,
            deadline_s=time.monotonic() + patience_s,
            look=lambda: "looking",
            container_started=lambda: None,
            warm_up=warm_up,
        )


def nobody() -> int:
    """Return a port of loopback at which nobody listens."""
    with proxy(200) as (port, _):
        return port


def test_a_token_over_the_proxys_address_needs_no_pod() -> None:
    pod = Pod()
    with proxy(503, 503, 200) as (port, tokens):
        assert ask(port, pod).reached
    assert tokens == [f"Bearer {TOKEN}"] * 3
    assert pod.asked == []


def test_a_mixture_of_experts_reads_prompts_of_several_sizes_before_it_is_ready() -> None:
    QUESTIONS.clear()
    with proxy(503, 200, 200, 503, 200) as (port, _):
        assert ask(port, Pod(), warm_up=(3, 16)).reached
    pod = Pod()
    ask(nobody(), pod, warm_up=(3, 16))
    over_http, in_pod = (
        [json.loads(body)["messages"][0]["content"] for body in bodies]
        for bodies in (QUESTIONS, [command[-1] for command in pod.asked])
    )
    assert [len(text.split()) for text in over_http] == [1, 1, 4, 17, 17]
    assert [len(text.split()) for text in in_pod] == [1, 4, 17]
    assert len({text[:2] for text in in_pod}) == 3


def test_without_a_way_to_the_address_the_question_is_asked_in_the_pod() -> None:
    pod = Pod()
    assert ask(nobody(), pod).reached is False
    assert TOKEN not in json.dumps(pod.asked), "the token is on no command line"


def test_without_any_way_nothing_is_said_to_be_wrong_with_the_engine() -> None:
    with pytest.raises(UnreachableError, match="nor can a command be run in its Pod") as told:
        ask(nobody(), Pod(refused=True))
    assert "pods/exec" in told.value.remedy


def test_a_refused_token_is_told_at_once_and_not_waited_for() -> None:
    began = time.monotonic()
    with proxy(401) as (port, _), pytest.raises(ClusterError, match="401 to the token") as told:
        ask(port, Pod(), patience_s=600)
    assert time.monotonic() - began < 60
    assert "rollout restart" in told.value.remedy


def test_a_401_that_passes_is_the_pod_before() -> None:
    with proxy(401, 200) as (port, _):
        assert ask(port, Pod()).reached


@pytest.mark.parametrize("pod", [Pod(token="an older one"), Pod(401)])
def test_a_pod_with_another_token_than_the_secret_is_a_401(pod: Pod) -> None:
    with pytest.raises(ClusterError, match="autosre-proxy"):
        ask(nobody(), pod)


def test_what_stays_503_is_not_ready_in_time() -> None:
    with proxy(503) as (port, _), pytest.raises(NotReadyError, match="in time"):
        ask(port, Pod(), patience_s=0.1)


def test_the_command_for_the_pod_asks_a_proxy_with_the_token_of_its_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import subprocess
    import sys

    with proxy(200) as (port, tokens):
        done = subprocess.run(
            [sys.executable, "-c", application_gate._IN_THE_POD, str(port), "5", "{}"],
            env={"AUTOSRE_PROXY_TOKEN": TOKEN, "HTTP_PROXY": "http://127.0.0.1:9"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        )
    assert json.loads(done.stdout)["status"] == 200
    assert tokens == [f"Bearer {TOKEN}"]
    assert TOKEN not in done.stdout


def test_errors_of_the_engine_end_the_wait() -> None:
    def ended() -> str:
        raise NotReadyError("the engine has ended", remedy="-")

    section = {"clusterIP": "127.0.0.1", "port": nobody(), "tokenSecret": {"name": "x"}}
    with step("test") as bar, pytest.raises(AutosreError, match="has ended"):
        generate_tokens(
            Pod(),  # type: ignore[arg-type]
            {"proxy": section},
            TOKEN,
            bar,
            deadline_s=time.monotonic() + 60,
            look=ended,
            container_started=lambda: None,
        )
