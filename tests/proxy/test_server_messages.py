"""Whole requests through the proxy, read by Anthropic's own SDK."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from anthropic.types import ModelInfo

from autosre_lab.proxy import read_request_log
from autosre_lab.scripted.chat_engine import ToolCall, Turn
from tests.proxy.conftest import StartLab, ask
from tests.proxy.waiting import until

pytestmark = pytest.mark.anyio

WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


async def test_a_streamed_answer_is_what_the_sdk_accumulates(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(thinking="let me see", text="Hello dear reader", cached_tokens=3))
    async with lab.sdk.messages.stream(**ask()) as stream:
        message = await stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking == "let me see"
    assert message.content[1].text == "Hello dear reader"
    assert message.stop_reason == "end_turn"
    assert message.model == "any-name"
    assert message.usage.cache_read_input_tokens == 3
    assert message.usage.input_tokens > 0


async def test_an_answer_without_streaming_is_the_same_message(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="Hello dear reader"))
    message = await lab.sdk.messages.create(**ask())
    assert message.content[0].text == "Hello dear reader"
    assert message.id.startswith("msg_")
    assert lab.upstream.chats[0].body["stream"] is True  # one path, so disconnects abort alike


async def test_parallel_interleaved_tool_calls_arrive_whole_and_in_order(
    start_lab: StartLab,
) -> None:
    calls = [
        ToolCall(name="get_weather", arguments='{"city": "Paris"}', fragments=5),
        ToolCall(name="get_weather", arguments='{"city": "Rome"}', fragments=4),
    ]
    lab = await start_lab(Turn(text="Looking.", tool_calls=calls, interleave=True))
    async with lab.sdk.messages.stream(**ask(tools=[WEATHER])) as stream:
        message = await stream.get_final_message()
    uses = [block for block in message.content if block.type == "tool_use"]
    assert [use.input for use in uses] == [{"city": "Paris"}, {"city": "Rome"}]
    assert len({use.id for use in uses}) == 2
    assert message.stop_reason == "tool_use"


async def test_malformed_tool_arguments_are_no_error_in_either_form(start_lab: StartLab) -> None:
    call = ToolCall(name="get_weather", arguments='{"city": "Par')
    lab = await start_lab(Turn(tool_calls=[call]))
    events = await lab.events(ask(tools=[WEATHER]))
    streamed = "".join(
        event["delta"]["partial_json"]
        for event in events
        if event.get("delta", {}).get("type") == "input_json_delta"
    )
    assert streamed == call.arguments
    status, body, _ = await lab.post(ask(tools=[WEATHER]))
    assert status == 200
    (use,) = body["content"]
    assert use["type"] == "tool_use"
    assert '{"city": "Par' in json.dumps(use["input"]).encode().decode("unicode_escape")


async def test_any_model_name_is_answered_by_the_served_model(start_lab: StartLab) -> None:
    lab = await start_lab()
    for name in ("claude-haiku-4-5-20251001", "gpt-9", "scripted-model"):
        status, body, _ = await lab.post(ask(model=name))
        assert (status, body["model"]) == (200, name)
    assert {chat.body["model"] for chat in lab.upstream.chats} == {"scripted-model"}


async def test_models_are_read_by_both_families_of_clients(start_lab: StartLab) -> None:
    lab = await start_lab()
    page = await lab.sdk.models.list()
    assert [model.id for model in page.data] == ["scripted-model"]
    assert page.data[0].max_input_tokens == 262_144
    strict = anthropic.AsyncAnthropic(
        base_url=lab.url, auth_token="a-token", api_key=None, _strict_response_validation=True
    )
    async with strict:
        assert (await strict.models.list()).data == page.data
        assert (await strict.models.retrieve("claude-x")).lifecycle == "active"
    fields = set(ModelInfo.model_fields)
    assert fields <= set(page.data[0].model_fields_set), "each field that the newest SDK knows"
    async with lab.http.get(f"{lab.url}/v1/models?limit=1000") as response:
        body = await response.json()
    assert body["object"] == "list"
    assert body["data"][0]["object"] == "model"
    async with lab.http.head(lab.url + "/") as response:
        assert response.status == 200


async def test_count_tokens_is_the_engines_own_count(start_lab: StartLab) -> None:
    lab = await start_lab()
    counted = await lab.sdk.messages.count_tokens(model="m", messages=ask()["messages"])
    message = await lab.sdk.messages.create(**ask())
    assert counted.input_tokens == message.usage.input_tokens


@pytest.mark.parametrize("rejects", [False, True])
async def test_a_system_message_in_the_middle_stays_where_it_stood(
    start_lab: StartLab, rejects: bool
) -> None:
    lab = await start_lab(rejects_mid_system=rejects)
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "system", "content": "a remark"},
        {"role": "user", "content": "three"},
    ]
    status, body, _ = await lab.post(ask(messages=messages, system="be brief"))
    assert status == 200, body
    sent = lab.upstream.chats[0].body["messages"]
    assert [message["role"] for message in sent] == [
        "system",
        "user",
        "assistant",
        "user" if rejects else "system",
        "user",
    ]
    assert "a remark" in sent[3]["content"]
    assert ("<system-reminder>" in sent[3]["content"]) is rejects


async def test_priority_is_told_by_kind_and_never_by_the_client(start_lab: StartLab) -> None:
    lab = await start_lab()
    compaction = "Your task is to create a detailed summary of the conversation so far"
    title = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    bodies: list[tuple[dict[str, Any], dict[str, str]]] = [
        (ask(priority=-99, tools=[WEATHER]), {"x_vllm_priority": "-99"}),
        (ask(tools=[WEATHER]), {"x_claude_code_agent_id": "a1"}),
        (ask(compaction, tools=[WEATHER]), {}),
        (ask(output_config=title), {}),
        # The question before a command, which a person waits for, whoever's command it is.
        (ask(stop_sequences=["</block>"]), {"x_claude_code_agent_id": "a1"}),
    ]
    for body, headers in bodies:
        assert (await lab.post(body, **headers))[0] == 200
    sent = [chat.body.get("priority", 0) for chat in lab.upstream.chats]
    assert sent == [-10, -5, 0, 10, -10]
    assert all("x-vllm-priority" not in map(str.lower, c.headers) for c in lab.upstream.chats)


async def test_a_web_search_is_declined_without_asking_the_model(start_lab: StartLab) -> None:
    lab = await start_lab()
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
    asked = "Perform a web search for the query: vllm"
    message = await lab.sdk.messages.create(**ask(asked, tools=[search]))
    results = [block for block in message.content if block.type == "web_search_tool_result"]
    assert results[0].content.error_code == "unavailable"
    assert lab.upstream.chats == []
    answered = await lab.sdk.messages.create(**ask("what is new?", tools=[search]))
    assert [block.type for block in answered.content] == ["text"]
    assert "tools" not in lab.upstream.chats[-1].body
    mixed = await lab.sdk.messages.create(**ask("search", tools=[search, WEATHER]))
    assert mixed.stop_reason == "end_turn"
    assert [tool["function"]["name"] for tool in lab.upstream.chats[-1].body["tools"]] == [
        "get_weather"
    ]


async def test_each_request_leaves_one_line_without_contents(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="a secret answer", cached_tokens=2))
    await lab.events(
        ask("a secret question", tools=[WEATHER]), x_claude_code_session_id="session-1"
    )
    await lab.post(ask("x", max_tokens=-1))
    await until(lambda: len(lab.log_path.read_text().splitlines()) == 2, "two lines in the log")
    assert "secret" not in lab.log_path.read_text()
    frame = read_request_log(lab.log_path)
    good, bad = frame.to_dict("records")
    assert good["session"] == "session-1"
    assert (good["kind"], good["status"], good["stop_reason"]) == ("main", 200, "end_turn")
    assert (good["cached_tokens"], good["tools"], good["stream"]) == (2, 1, True)
    assert 0 < good["added_ms"] < good["ttft_ms"] <= good["total_ms"]
    assert good["output_tokens"] > 0
    assert (bad["status"], bad["error"]) == (400, "invalid_request_error")


async def test_metrics_tell_what_was_served(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="one two three"))
    await lab.post(ask(tools=[WEATHER]))
    async with lab.http.get(f"{lab.url}/metrics") as response:
        text = await response.text()
    assert 'autosre_proxy_requests_total{kind="main",status="200"} 1.0' in text
    assert 'autosre_proxy_window_checks_total{way="bound"} 1.0' in text
    assert "autosre_proxy_time_to_first_token_seconds_count" in text


async def test_a_prompt_is_computed_beforehand_and_nothing_is_answered(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="never seen", cached_tokens=0))
    message = await lab.sdk.messages.create(**ask(max_tokens=0, tools=[WEATHER], system="long"))
    assert message.content == []
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 0)
    assert message.usage.input_tokens > 0
    events = await lab.events(ask(max_tokens=0, tools=[WEATHER], system="long"))
    kinds = [event["type"] for event in events]
    assert kinds == ["message_start", "message_delta", "message_stop"]
    assert events[1]["delta"]["stop_reason"] == "max_tokens"
    # What is sent is the very prompt of the turn that follows, at the lowest priority.
    await lab.sdk.messages.create(**ask(tools=[WEATHER], system="long"))
    warmed, _, real = lab.upstream.chats
    assert (warmed.body["max_completion_tokens"], warmed.body["priority"]) == (1, 10)
    assert warmed.body["messages"] == real.body["messages"]
    assert warmed.body["tools"] == real.body["tools"]
