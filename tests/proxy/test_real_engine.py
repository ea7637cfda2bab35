"""The proxy in front of the real vLLM: what only the engine can tell."""

from __future__ import annotations

import itertools
import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import msgspec
import pytest

from autosre_lab.engine import VllmBackend
from autosre_lab.proxy import read_request_log
from autosre_lab.proxy.counting import tokenize_request
from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.stack import Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
        "required": ["city"],
    },
}


@pytest.fixture
def sdk(real_stack: Stack) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=real_stack.proxy_url, auth_token=real_stack.token, api_key=None, max_retries=0
    ) as client:
        yield client


def text_of(message: anthropic.types.Message) -> str:
    (block,) = message.content
    assert block.type == "text"
    return block.text


def ask(text: str = "What is the capital of France?", **fields: Any) -> dict[str, Any]:
    return {
        "model": "claude-anything",
        "max_tokens": 24,
        "messages": [{"role": "user", "content": text}],
        **fields,
    }


def running(stack: Stack) -> float:
    with VllmBackend(stack.engine_url) as backend:
        text = backend.metrics_text()
    found = re.search(r"^vllm:num_requests_running\{.*\} ([0-9.]+)$", text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def until(condition: Any, what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.05)


def test_an_answer_streamed_or_not(sdk: anthropic.Anthropic) -> None:
    greedy = {"temperature": 0}
    body = ask(system="You are a helpful assistant.")
    whole = sdk.messages.create(**body, extra_body=greedy)
    with sdk.messages.stream(**body, extra_body=greedy) as stream:
        streamed = stream.get_final_message()
    assert "Paris" in text_of(whole)
    assert "Paris" in text_of(streamed)
    assert whole.stop_reason == streamed.stop_reason == "end_turn"


def test_a_forced_tool_call_follows_its_schema(sdk: anthropic.Anthropic) -> None:
    choice = {"type": "tool", "name": "get_weather"}
    with sdk.messages.stream(
        **ask("Weather in Paris?", tools=[WEATHER], tool_choice=choice, max_tokens=200)
    ) as stream:
        message = stream.get_final_message()
    (use,) = [block for block in message.content if block.type == "tool_use"]
    assert message.stop_reason == "tool_use"
    assert use.name == "get_weather"
    assert use.input["city"] in ("Paris", "Rome")


def test_counted_tokens_are_the_tokens_that_are_computed(sdk: anthropic.Anthropic) -> None:
    body = ask("Count me, ünïcödé and all 🙂", system="Be brief.", tools=[WEATHER])
    counted = sdk.messages.count_tokens(
        **{name: value for name, value in body.items() if name != "max_tokens"}
    )
    usage = sdk.messages.create(**body).usage
    assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)


def test_the_second_turn_is_read_from_the_prefix_cache(sdk: anthropic.Anthropic) -> None:
    first = ask("Remember this. " + "All work and no play. " * 150)
    answer = sdk.messages.create(**first)
    before = (
        answer.usage.input_tokens
        + (answer.usage.cache_read_input_tokens or 0)
        + (answer.usage.cache_creation_input_tokens or 0)
    )
    again = sdk.messages.create(
        **ask(
            messages=[
                *first["messages"],
                {"role": "assistant", "content": text_of(answer)},
                {"role": "user", "content": "Go on."},
            ]
        )
    )
    cached = again.usage.cache_read_input_tokens or 0
    # vLLM caches whole blocks; its CPU backend has 128 tokens in each.
    assert cached >= before - 2 * 128
    assert again.usage.input_tokens < before


def test_overflow_names_the_exact_count(sdk: anthropic.Anthropic) -> None:
    body = ask("word " * 9000)
    with pytest.raises(anthropic.BadRequestError) as caught:
        sdk.messages.create(**body)
    found = re.search(r"prompt is too long: (\d+) tokens > (\d+) maximum", str(caught.value))
    assert found is not None
    counted = sdk.messages.count_tokens(model="m", messages=body["messages"])
    assert (int(found[1]), int(found[2])) == (counted.input_tokens, 8192)


def test_the_end_of_the_window_is_the_end_of_the_answer(sdk: anthropic.Anthropic) -> None:
    # 8,192 tokens less the floor of 512 and a little: the answer gets some 600.
    count = 7400
    while True:
        body = ask("word " * count + "Write a very long story.", max_tokens=4096)
        counted = sdk.messages.count_tokens(model="m", messages=body["messages"]).input_tokens
        if 7560 <= counted <= 7660:
            break
        count += 7600 - counted
    body["stop_sequences"] = ["never written by anybody"]
    usage = sdk.messages.create(**body)
    assert usage.usage.output_tokens <= 8192 - counted
    assert usage.stop_reason in ("end_turn", "model_context_window_exceeded")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_the_engines_work(real_stack: Stack, stream: bool) -> None:
    until(lambda: running(real_stack) == 0, "an idle engine")
    body = json.dumps(ask("Write a very long story.", max_tokens=2000, stream=stream)).encode()
    head = (
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {real_stack.token}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    port = int(real_stack.proxy_url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head.encode() + body)
        until(lambda: running(real_stack) == 1, "the engine's start")
    until(lambda: running(real_stack) == 0, "the engine's end", timeout_s=10)


def test_priorities_are_taken_and_the_log_tells_the_kind(
    sdk: anthropic.Anthropic, real_stack: Stack
) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    title = sdk.messages.create(
        **ask("A title for: hello", max_tokens=40),
        extra_body={"output_config": {"format": {"type": "json_schema", "schema": schema}}},
    )
    # Guided: no other token may come first. A model this small may never find the end.
    assert text_of(title).lstrip().startswith("{")
    sdk.messages.create(**ask(tools=[WEATHER]), extra_headers={"x-claude-code-agent-id": "a"})
    log = real_stack.request_log
    assert log is not None
    kinds = list(read_request_log(log)["kind"])
    until(
        lambda: list(read_request_log(log)["kind"])[-2:] == ["background", "subagent"],
        f"both in the log, not {kinds[-2:]}",
    )


def conversation(turns: int) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Read the file."}]
    for turn in range(turns):
        use = {"type": "tool_use", "id": f"toolu_{turn}", "name": "get_weather", "input": {"c": 1}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{turn}", "content": f"file {turn}"}
        messages += [
            {"role": "assistant", "content": [{"type": "text", "text": f"Step {turn}."}, use]},
            {"role": "user", "content": [result]},
        ]
        if turn == 1:
            messages.append({"role": "system", "content": "A remark in the middle."})
    return ask(messages=messages, system="Be brief.", tools=[WEATHER])


def test_each_turns_tokens_are_the_beginning_of_the_nexts(real_stack: Stack) -> None:
    profile = EngineProfile(model=real_stack.model, max_model_len=8192, mid_system="system")
    rendered: list[list[int]] = []
    for turns in range(4):
        request = decode_request(json.dumps(conversation(turns)).encode())
        body = tokenize_request(to_chat_request(request, profile, max_tokens=10))
        answer = httpx.post(
            f"{real_stack.engine_url}/tokenize",
            content=msgspec.json.encode({**body, "add_generation_prompt": False}),
            headers={"content-type": "application/json"},
            trust_env=False,
        )
        rendered.append(answer.json()["tokens"])
    for shorter, longer in itertools.pairwise(rendered):
        assert len(shorter) < len(longer)
        assert longer[: len(shorter)] == shorter
