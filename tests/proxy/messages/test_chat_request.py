from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from autosre_lab.proxy.counting import tokenize_request
from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import BadRequestError, decode_request
from tests.proxy.requests_in import (
    CACHED,
    ENGINE,
    PLAIN,
    TOOL,
    assistant,
    text,
    tool_result,
    tool_use,
    translate,
    user,
)


def test_a_whole_claude_code_turn_is_translated_to_this() -> None:
    chat = translate(
        [
            user(text("<system-reminder>r</system-reminder>"), text("look at x", **CACHED)),
            {"role": "system", "content": "skills: none"},
            assistant(
                {"type": "thinking", "thinking": "I read it.", "signature": "s"},
                text("Reading."),
                tool_use("toolu_1", z=1, a="é"),
                tool_use("toolu_2"),
            ),
            user(
                tool_result("toolu_1", [text("line 1"), text("line 2")]),
                tool_result("toolu_2", "boom", is_error=True, **CACHED),
                text("go on"),
            ),
        ],
        system=[
            text("x-anthropic-billing-header: cc_version=2.1.197.abc; cc_entrypoint=cli;"),
            text("You are Claude Code.", **CACHED),
            text("Be brief.", **CACHED),
        ],
        tools=[
            {
                "name": "Read",
                "description": "Reads.",
                "input_schema": {"type": "object", "z": 1, "a": {"cache_control": "kept"}},
                **CACHED,
            },
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
        ],
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
        metadata={"user_id": "u"},
        context_management={"edits": []},
        stream=True,
    )
    assert chat == {
        "model": "served",
        "messages": [
            {"role": "system", "content": "You are Claude Code.\n\nBe brief."},
            {"role": "user", "content": "<system-reminder>r</system-reminder>"},
            {"role": "user", "content": "look at x"},
            {"role": "system", "content": "skills: none"},
            {
                "role": "assistant",
                "content": "Reading.",
                "reasoning": "I read it.",
                "tool_calls": [
                    {
                        "id": "toolu_1",
                        "type": "function",
                        "function": {"name": "Read", "arguments": '{"z": 1, "a": "\\u00e9"}'},
                    },
                    {
                        "id": "toolu_2",
                        "type": "function",
                        "function": {"name": "Read", "arguments": "{}"},
                    },
                ],
            },
            {"role": "tool", "tool_call_id": "toolu_1", "content": "line 1\n\nline 2"},
            {"role": "tool", "tool_call_id": "toolu_2", "content": "Error: boom"},
            {"role": "user", "content": "go on"},
        ],
        "max_completion_tokens": 50,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "Read",
                    "description": "Reads.",
                    "parameters": {"type": "object", "z": 1, "a": {"cache_control": "kept"}},
                },
            }
        ],
        "chat_template_kwargs": {"enable_thinking": True},
        "reasoning_effort": "high",
        "priority": 3,
    }


def test_the_smallest_request_of_the_plainest_engine_has_nothing_extra() -> None:
    assert translate("hi", PLAIN) == {
        "model": "plain",
        "messages": [{"role": "user", "content": "hi"}],
        "max_completion_tokens": 50,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }


def test_schemas_and_inputs_keep_their_bytes() -> None:
    schema = b'{"type": "object", "z":1.0,"a":12345678901234567890123,"z":2}'
    arguments = b'{"b": 1.50,"a" :1e5}'
    body = (
        b'{"model":"m","max_tokens":1,"tools":[{"name":"f","input_schema":' + schema + b"}],"
        b'"messages":[{"role":"user","content":"x"},{"role":"assistant","content":'
        b'[{"type":"tool_use","id":"t","name":"f","input":' + arguments + b"}]},"
        b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}]}'
    )
    chat = to_chat_request(decode_request(body), ENGINE, max_tokens=1)
    assert schema in msgspec.json.encode(chat)
    call = chat["messages"][1]["tool_calls"][0]
    assert call["function"]["arguments"] == arguments.decode()


def test_a_last_assistant_message_is_continued() -> None:
    chat = translate([user(text("a")), assistant(text("The answer is \n"))])
    assert chat["messages"][-1] == {"role": "assistant", "content": "The answer is"}
    assert chat["continue_final_message"] is True
    assert chat["add_generation_prompt"] is False


@pytest.mark.parametrize("last", [assistant(), assistant(text(" ")), assistant(tool_use("t"))])
def test_a_last_assistant_message_without_text_is_not_continued(last: Any) -> None:
    assert "continue_final_message" not in translate([user(text("a")), last])


def test_capacity_can_be_measured_past_the_answers_end() -> None:
    assert translate("hi", ignore_eos=True)["ignore_eos"] is True
    assert "ignore_eos" not in translate("hi")


def test_sampling_and_stop_sequences_are_passed_on() -> None:
    chat = translate("hi", temperature=0, top_p=0.5, top_k=7, stop_sequences=["a", "b"])
    assert (chat["temperature"], chat["top_p"], chat["top_k"]) == (0, 0.5, 7)
    assert chat["stop"] == ["a", "b"]


@pytest.mark.parametrize("where", ["output_config", "output_format"])
def test_a_json_schema_becomes_the_response_format(where: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object", "z": 1, "a": 2}}
    fields = {"output_config": {"format": wanted}} if where == "output_config" else {where: wanted}
    assert translate("hi", ENGINE, **fields)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object", "z": 1, "a": 2}},
    }


def test_a_priority_goes_only_to_an_engine_that_schedules_by_it() -> None:
    assert translate("hi")["priority"] == 3
    assert "priority" not in translate("hi", PLAIN)


def test_not_streaming_asks_for_no_stream() -> None:
    request = decode_request(b'{"model":"m","max_tokens":1,"messages":[{"role":"user"}]}')
    chat = to_chat_request(request, PLAIN, max_tokens=None, stream=False)
    assert chat == {"model": "plain", "messages": [{"role": "user", "content": ""}]}


def test_the_count_renders_what_the_chat_renders() -> None:
    request = decode_request(
        json.dumps(
            {
                "model": "m",
                "system": "s",
                "messages": [user(text("a")), assistant(text("b"))],
                "tools": [TOOL],
                "thinking": {"type": "adaptive"},
                "output_config": {"effort": "high"},
            }
        ).encode(),
        counting=True,
    )
    chat = to_chat_request(request, ENGINE, max_tokens=None)
    assert tokenize_request(chat) == {
        "model": "served",
        "messages": chat["messages"],
        "tools": chat["tools"],
        "continue_final_message": True,
        "add_generation_prompt": False,
        "chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "high"},
    }
    assert "reasoning_effort" not in chat["chat_template_kwargs"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cache_salt", "a-salt"),
        ("vllm_xargs", {"kv_cache_report_mode": "full", "n": 7}),
        ("kv_transfer_params", {"do_remote_decode": True}),
        ("ec_transfer_params", {"a": 1}),
        ("repetition_penalty", 1.10),
        ("min_p", 0.05),
        ("seed", 7),
        ("structured_outputs", {"regex": "a+"}),
        ("ignore_eos", True),
        ("thinking_token_budget", 12),
    ],
)
def test_the_engines_own_fields_are_handed_on(name: str, value: object) -> None:
    assert translate("hi", ENGINE, **{name: value})[name] == value
    assert name not in translate("hi", ENGINE, **{name: None})


def test_template_arguments_of_the_client_come_on_top_of_ours() -> None:
    chat = translate("hi", chat_template_kwargs={"enable_thinking": True, "documents": []})
    assert chat["chat_template_kwargs"] == {"enable_thinking": True, "documents": []}
    with pytest.raises(BadRequestError, match="chat_template_kwargs"):
        translate("hi", chat_template_kwargs=[1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("prompt_logprobs", 1),
        ("echo", True),
        ("chat_template", "{{ x }}"),
        ("stop", ["x"]),
        ("response_format", {"type": "json_object"}),
        ("use_beam_search", True),
        ("add_generation_prompt", True),
    ],
)
def test_what_cannot_be_handed_on_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(BadRequestError, match=f"^{name}: "):
        translate("hi", ENGINE, **{name: value})


def test_what_is_as_if_absent_is_not_refused() -> None:
    chat = translate("hi", n=1, logprobs=False, stop=[], echo=False, response_format=None)
    assert not {"n", "logprobs", "stop", "echo", "response_format"} & set(chat)


@pytest.mark.parametrize("place", ["output_config", "output_format"])
@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "json_object"},
        {"type": "xml"},
        {"type": "json_schema"},
        {},
        {"type": "text"},
        {"type": "json_schema", "schema": [1]},
    ],
)
def test_unknown_output_formats_are_refused(place: str, wanted: dict[str, Any]) -> None:
    fields = {place: {"format": wanted} if place == "output_config" else wanted}
    with pytest.raises(BadRequestError, match=r"output_config\.format"):
        translate("hi", ENGINE, **fields)
