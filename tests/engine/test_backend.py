"""The thin client, against scripted answers in vLLM's words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autosre_lab.engine.backend import Backend, VllmBackend
from autosre_lab.errors import RemoteError
from tests.support.scripted_http import ScriptedHttp, scripted_http

MODELS = {"data": [{"id": "smollm2-135m", "root": "/m", "parent": None, "max_model_len": 8192}]}
GENERATED = {"choices": [{"message": {"content": "!"}}], "usage": {"completion_tokens": 1}}


@pytest.fixture
def engine() -> Iterator[ScriptedHttp]:
    with scripted_http(
        health=[(200, "")],
        version=[(200, {"version": "0.32.0"})],
        metrics=[(200, "vllm:num_requests_running 0\n")],
        tokenize=[(200, {"count": 7})],
        v1__models=[(200, MODELS)],
        v1__chat__completions=[(200, GENERATED)],
    ) as running:
        yield running


@pytest.fixture
def backend(engine: ScriptedHttp) -> Iterator[VllmBackend]:
    with VllmBackend(engine.url, timeout_s=5) as opened:
        yield opened


def test_vllm_is_one_backend_and_a_backend_alone_is_none(backend: VllmBackend) -> None:
    assert isinstance(backend, Backend)
    assert Backend.__abstractmethods__ == {
        *("close", "count_tokens", "first_token", "health", "metrics_text", "models", "version")
    }
    with pytest.raises(TypeError, match="abstract"):
        Backend()  # type: ignore[abstract]


def test_it_tells_what_the_engine_is(backend: VllmBackend) -> None:
    assert backend.health()
    assert backend.version() == "0.32.0"
    assert [model.id for model in backend.models()] == ["smollm2-135m"]
    assert backend.max_model_len() == 8192
    assert backend.metrics_text() == "vllm:num_requests_running 0\n"


def test_a_text_is_counted_without_special_tokens(
    backend: VllmBackend, engine: ScriptedHttp
) -> None:
    assert backend.count_tokens("how many") == 7
    assert engine.bodies("/tokenize") == [
        {"model": "smollm2-135m", "prompt": "how many", "add_special_tokens": False}
    ]


def test_messages_are_counted_with_their_tools(backend: VllmBackend, engine: ScriptedHttp) -> None:
    messages = [{"role": "user", "content": "hi"}]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert backend.count_tokens(messages=messages, tools=tools) == 7
    assert engine.bodies("/tokenize") == [
        {"model": "smollm2-135m", "messages": messages, "tools": tools}
    ]


def test_the_first_token_is_really_asked_for(backend: VllmBackend, engine: ScriptedHttp) -> None:
    assert backend.first_token() >= 0
    (body,) = engine.bodies("/v1/chat/completions")
    assert (body["model"], body["max_tokens"]) == ("smollm2-135m", 1)


def test_an_answer_without_a_token_is_not_a_first_token(
    backend: VllmBackend, engine: ScriptedHttp
) -> None:
    engine.answers["/v1/chat/completions"] = [(200, {"usage": {"completion_tokens": 0}})]
    with pytest.raises(RemoteError, match="without generating a token"):
        backend.first_token()


def test_an_engine_that_is_not_there_is_unhealthy_and_says_so() -> None:
    with scripted_http() as gone:
        url = gone.url
    with VllmBackend(url, timeout_s=2) as backend:
        assert not backend.health()
        with pytest.raises(RemoteError, match="does not answer") as caught:
            backend.version()
    assert caught.value.status == 0


def test_a_dying_engine_is_unhealthy(backend: VllmBackend, engine: ScriptedHttp) -> None:
    engine.answers["/health"] = [(503, "")]
    assert not backend.health()


def test_an_error_carries_status_and_body(backend: VllmBackend, engine: ScriptedHttp) -> None:
    engine.answers["/tokenize"] = [(400, {"error": {"message": "no such template"}})]
    with pytest.raises(RemoteError, match="no such template") as caught:
        backend.count_tokens(messages=[])
    assert caught.value.status == 400
    assert "no such template" in caught.value.body


@pytest.mark.parametrize("answer", ["<html>", "[]", {"data": [{"id": "gpt"}]}])
def test_a_server_that_is_not_vllm_is_told(
    backend: VllmBackend, engine: ScriptedHttp, answer: object
) -> None:
    engine.answers["/v1/models"] = [(200, answer)]
    with pytest.raises(RemoteError) as caught:
        backend.models()
    assert caught.value.remedy == "point the URL at a vLLM server"


def test_an_engine_that_serves_nothing_is_told(backend: VllmBackend, engine: ScriptedHttp) -> None:
    engine.answers["/v1/models"] = [(200, {"data": []})]
    with pytest.raises(RemoteError, match="serves no model"):
        backend.max_model_len()


def test_the_key_is_sent_and_no_web_proxy_is_asked(
    engine: ScriptedHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with VllmBackend(engine.url, timeout_s=5, api_key="k3y") as backend:
        backend.version()
    assert engine.asked[-1].headers["authorization"] == "Bearer k3y"
