"""Ready is a generated token, not a health code."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from autosre_lab.engine import readiness
from autosre_lab.engine.readiness import Phases, wait_for_engine, wait_for_proxy, warm_up_sizes
from autosre_lab.errors import NotReadyError, ServiceCrashedError
from tests.support.scripted_http import scripted_http

MODELS = {"data": [{"id": "m", "root": "/m", "parent": None, "max_model_len": 8192}]}
GENERATED = {"usage": {"completion_tokens": 1}}


class Notes:
    """A progress bar that only remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def advance(self, amount: float = 1) -> None:
        return

    def reach(self, done: float, total: float | None = None) -> None:
        return

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "POLL_S", 0.01)


def ends_after(polls: int) -> Callable[[], str]:
    left = iter(range(polls))

    def look() -> str:
        if next(left, None) is None:
            raise ServiceCrashedError(
                "ended", remedy="-", service="engine", exit_code=1, log_tail=[]
            )
        return "starting"

    return look


def test_a_healthy_engine_that_generates_nothing_yet_is_not_ready() -> None:
    with scripted_http(
        health=[(200, "")],
        v1__models=[(200, MODELS)],
        v1__chat__completions=[(500, "warming up"), (500, "warming up"), (200, GENERATED)],
    ) as engine:
        served = wait_for_engine(
            engine.url, Notes(), deadline_s=time.monotonic() + 20, look=lambda: "starting"
        )
        assert served.id == "m"
        assert len(engine.bodies("/v1/chat/completions")) == 3


def test_an_engine_in_time_but_without_a_token_is_told_with_its_last_words() -> None:
    with scripted_http(
        health=[(200, "")],
        v1__models=[(200, MODELS)],
        v1__chat__completions=[(500, "EngineDeadError")],
    ) as engine:
        with pytest.raises(NotReadyError, match="EngineDeadError") as caught:
            wait_for_engine(
                engine.url, Notes(), deadline_s=time.monotonic() + 0.3, look=lambda: "starting"
            )
        assert isinstance(caught.value, TimeoutError)


def test_a_crash_ends_the_wait_at_once() -> None:
    notes = Notes()
    with scripted_http(health=[(503, "")]) as engine:
        deadline_s = time.monotonic() + 600
        with pytest.raises(ServiceCrashedError):
            wait_for_engine(engine.url, notes, deadline_s=deadline_s, look=ends_after(3))
    assert notes.notes == ["starting"] * 3


def test_the_proxy_is_ready_when_a_token_came_through_it() -> None:
    with scripted_http(v1__messages=[(529, {"error": "busy"}), (200, {"content": []})]) as proxy:
        wait_for_proxy(proxy.url, "t0ken", deadline_s=time.monotonic() + 20, look=lambda: "")
        assert [one.headers["authorization"] for one in proxy.asked] == ["Bearer t0ken"] * 2
        assert {body["max_tokens"] for body in proxy.bodies("/v1/messages")} == {1}


def test_a_proxy_that_refuses_is_told_with_its_words() -> None:
    with (
        scripted_http(v1__messages=[(401, {"error": "wrong token"})]) as proxy,
        pytest.raises(NotReadyError, match="wrong token"),
    ):
        wait_for_proxy(proxy.url, "t0ken", deadline_s=time.monotonic() + 0.2, look=lambda: "")


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        ("INFO Initializing a V1 LLM engine (v0.32.0)", "starting the engine core"),
        ("INFO Starting to load model /models/m...", "loading the weights"),
        ("INFO Loading weights took 0.31 seconds", "weights are loaded"),
        ("INFO GPU KV cache size: 46,592 tokens", "making the KV cache"),
        ("INFO:     Application startup complete.", "serving, no token yet"),
        ("something else", "starting"),
    ],
)
def test_the_log_tells_what_the_engine_is_at(line: str, phase: str) -> None:
    assert Phases().reached(["INFO Initializing nothing", line, "says nothing"]) == phase


def test_the_phase_never_goes_back() -> None:
    phases = Phases()
    loading = "(EngineCore pid=9) INFO [gpu_model_runner.py] Starting to load model m"
    assert phases.reached([loading]) == "loading the weights"
    assert phases.reached([loading, "(EngineCore pid=9) INFO nothing new"]) == "loading the weights"
    assert phases.reached(["(APIServer pid=1) INFO non-default args: {}"]) == "loading the weights"
    assert phases.reached(["Capturing CUDA graphs", loading]) == "capturing CUDA graphs"
    assert phases.reached([]) == "capturing CUDA graphs"


def test_a_mixture_of_experts_reads_prompts_of_several_sizes_before_it_is_ready() -> None:
    with scripted_http(
        health=[(200, "")],
        v1__models=[(200, MODELS)],
        v1__chat__completions=[(200, GENERATED)],
    ) as engine:
        for warm_up, sizes in ((False, []), (True, warm_up_sizes(8192))):
            engine.asked.clear()
            wait_for_engine(
                engine.url,
                Notes(),
                deadline_s=time.monotonic() + 20,
                look=lambda: "",
                warm_up=warm_up,
            )
            prompts = [
                body["messages"][0]["content"] for body in engine.bodies("/v1/chat/completions")
            ][1:]
            assert [len(text.split()) - 1 for text in prompts] == sizes
    assert max(warm_up_sizes(512)) == 256
