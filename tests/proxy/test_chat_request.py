from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from autosre_lab.proxy.anthropic import BadRequestError, decode_request
from autosre_lab.proxy.block_sequence import MALFORMED_ARGUMENTS
from autosre_lab.proxy.chat_request import to_chat_request, tokenize_request
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.tool_definitions import ServerTool, server_tools

ENGINE = EngineProfile(
    model="served",
    max_model_len=8192,
    mid_system="system",
    thinking_switch="enable_thinking",
    efforts=frozenset({"low", "medium", "high"}),
    thinking_budget=True,
    images=True,
    priorities=True,
)
PLAIN = EngineProfile(model="plain", max_model_len=8192)
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
OPENAI: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsStreaming)


def translate(
    messages: list[Any] | str, engine: EngineProfile = ENGINE, **fields: Any
) -> dict[str, Any]:
    """Decode, translate, encode; the result is what the engine would read."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    body = {"model": "claude-x", "max_tokens": 99, "messages": messages} | fields
    request = decode_request(json.dumps(body).encode())
    encoded = msgspec.json.encode(to_chat_request(request, engine, max_tokens=50, priority=3))
    chat: dict[str, Any] = json.loads(encoded)
    OPENAI.validate_python(chat)
    return chat


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value} | more


def tool_use(id_: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "Read", "input": arguments}


def tool_result(id_: str, content: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content} | more


CACHED = {"cache_control": {"type": "ephemeral"}}


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
            {"role": "user", "content": "<system-reminder>r</system-reminder>\n\nlook at x"},
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


def test_a_string_and_a_single_text_block_are_the_same_message() -> None:
    for role in ("user", "system"):
        as_string = translate([{"role": role, "content": "x"}, user(text("y"))])
        as_block = translate([{"role": role, "content": [text("x", **CACHED)]}, user(text("y"))])
        assert as_string == as_block
    assert translate("x", system="s") == translate("x", system=[text("s", **CACHED)])


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("x-anthropic-billing-header: cc_version=1;", None),
        ("x-anthropic-billing-header: cc_version=1;\nYou are", "You are"),
        ([text("x-anthropic-billing-header: a")], None),
        ([text(""), text("s")], "s"),
        ([], None),
        ("", None),
        (None, None),
        ("about x-anthropic-billing-header", "about x-anthropic-billing-header"),
    ],
)
def test_the_billing_header_never_reaches_the_prompt(system: Any, expected: str | None) -> None:
    messages = translate("hi", system=system)["messages"]
    leading = [message["content"] for message in messages if message["role"] == "system"]
    assert leading == ([expected] if expected else [])


def test_a_mid_conversation_system_message_stays_where_it_is() -> None:
    conversation = [user(text("a")), {"role": "system", "content": "s"}, user(text("b"))]
    in_place = translate(conversation, system="top")["messages"]
    assert [m["role"] for m in in_place] == ["system", "user", "system", "user"]
    reminded = translate(conversation, PLAIN, system="top")["messages"]
    assert [m["role"] for m in reminded] == ["system", "user", "user", "user"]
    assert reminded[2]["content"] == "<system-reminder>\ns\n</system-reminder>"


def test_a_reminder_never_separates_a_call_from_its_result() -> None:
    between = [
        user(text("a")),
        assistant(tool_use("t")),
        {"role": "system", "content": "s"},
        user(tool_result("t", "r"), text("b")),
    ]
    roles = [(m["role"], m["content"][:6]) for m in translate(between, PLAIN)["messages"]]
    assert roles == [
        ("user", "a"),
        ("assistant", ""),
        ("tool", "r"),
        ("user", "<syste"),
        ("user", "b"),
    ]
    behind = [*between[:2], user(tool_result("t", "r")), {"role": "system", "content": "s"}]
    roles = [(m["role"], m["content"][:6]) for m in translate(behind, PLAIN)["messages"]]
    assert roles == [("user", "a"), ("assistant", ""), ("tool", "r"), ("user", "<syste")]


def test_a_leading_system_message_is_a_system_message_for_every_template() -> None:
    chat = translate([{"role": "system", "content": "s"}, user(text("a"))], PLAIN)
    assert chat["messages"][0] == {"role": "system", "content": "s"}


def test_our_own_keepalive_and_redacted_thinking_leave_no_trace() -> None:
    chat = translate(
        [
            user(text("a")),
            assistant(
                {"type": "thinking", "thinking": "", "signature": "s"},
                {"type": "redacted_thinking", "data": "opaque"},
                text("b"),
            ),
            user(text("c")),
        ]
    )
    assert chat["messages"][1] == {"role": "assistant", "content": "b"}


def test_thinking_in_the_history_becomes_reasoning() -> None:
    thoughts = [{"type": "thinking", "thinking": word, "signature": "s"} for word in ("x", "y")]
    chat = translate([user(text("a")), assistant(*thoughts, text("b")), user(text("c"))])
    assert chat["messages"][1] == {"role": "assistant", "content": "b", "reasoning": "x\n\ny"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("r", "r"),
        ([text("r")], "r"),
        (None, ""),
        ("", ""),
        ([], ""),
        ([text("a"), text("b")], "a\n\nb"),
        ([{"type": "tool_reference", "tool_name": "Grep"}], "[tool available: Grep]"),
        (
            [{"type": "search_result", "title": "T", "source": "u", "content": [text("c")]}],
            '<search_result title="T" source="u">\nc\n</search_result>',
        ),
        ({"odd": 1}, '{"odd": 1}'),
        (
            [{"type": "new_thing"}],
            "[content block of type 'new_thing' omitted: the served model cannot read it]",
        ),
    ],
)
def test_tool_results_of_every_shape(content: Any, expected: str) -> None:
    chat = translate([user(text("a")), assistant(tool_use("t")), user(tool_result("t", content))])
    assert chat["messages"][2:] == [{"role": "tool", "tool_call_id": "t", "content": expected}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("no such file", "Error: no such file"),
        ("Error: no", "Error: no"),
        ("<tool_use_error>no</tool_use_error>", "<tool_use_error>no</tool_use_error>"),
        (None, "Error: "),
    ],
)
def test_a_failed_tool_says_so_once(content: Any, expected: str) -> None:
    messages = [
        user(text("a")),
        assistant(tool_use("t")),
        user(tool_result("t", content, is_error=True)),
    ]
    assert translate(messages)["messages"][2]["content"] == expected


def test_images_of_tool_results_follow_in_one_user_message() -> None:
    image = {"type": "image", "source": PNG}
    messages = [
        user(text("a")),
        assistant(tool_use("t"), tool_use("u")),
        user(tool_result("t", [text("x"), image]), tool_result("u", [image]), text("compare")),
    ]
    url = {"url": "data:image/png;base64,AAAA"}
    assert translate(messages)["messages"][2:] == [
        {
            "role": "tool",
            "tool_call_id": "t",
            "content": "x\n\n[image 1: shown in the next message]",
        },
        {"role": "tool", "tool_call_id": "u", "content": "[image 2: shown in the next message]"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "[image 1]"},
                {"type": "image_url", "image_url": url},
                {"type": "text", "text": "[image 2]"},
                {"type": "image_url", "image_url": url},
                {"type": "text", "text": "compare"},
            ],
        },
    ]
    blind = translate(messages, PLAIN)["messages"][2:]
    assert [m["content"] for m in blind] == [
        "x\n\n[image omitted: the served model cannot see images]",
        "[image omitted: the served model cannot see images]",
        "compare",
    ]


def test_images_of_users_are_urls_of_either_kind() -> None:
    chat = translate(
        [
            user(
                text("a"),
                text("b"),
                {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                {"type": "image", "source": PNG},
                {"type": "image", "source": {"type": "file", "file_id": "f"}},
            )
        ]
    )
    assert chat["messages"][0]["content"] == [
        {"type": "text", "text": "a\n\nb"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {
            "type": "text",
            "text": "[image (neither base64 nor a URL) omitted: the served model cannot read it]",
        },
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            {"type": "text", "media_type": "text/plain", "data": "body"},
            '<document title="T">\nbody\n</document>',
        ),
        (
            {
                "type": "base64",
                "media_type": "text/plain",
                "data": base64.b64encode("bödy".encode()).decode(),
            },
            '<document title="T">\nbödy\n</document>',
        ),
        (
            {"type": "content", "content": [text("one"), text("two")]},
            '<document title="T">\none\n\ntwo\n</document>',
        ),
        (
            {"type": "base64", "media_type": "application/pdf", "data": "A" * 400},
            '[document "T" (application/pdf, about 300 bytes) omitted: '
            "the served model cannot read it]",
        ),
        (
            {"type": "base64", "media_type": "text/plain", "data": "A"},
            '[document "T" (its base64 is damaged) omitted: the served model cannot read it]',
        ),
        (
            {"type": "url", "url": "https://x/y.pdf"},
            '[document "T" (https://x/y.pdf) omitted: the served model cannot read it]',
        ),
        (
            {"type": "file", "file_id": "f"},
            "[document \"T\" (source of type 'file') omitted: the served model cannot read it]",
        ),
        (None, '[document "T" (without a source) omitted: the served model cannot read it]'),
    ],
)
def test_documents_become_text_or_say_what_is_missing(source: Any, expected: str) -> None:
    block = {"type": "document", "title": "T", "source": source, "citations": {"enabled": True}}
    assert translate([user(block)])["messages"][0]["content"] == expected


def test_server_tools_in_the_history_stay_readable() -> None:
    chat = translate(
        [
            user(text("a")),
            assistant(
                {
                    "type": "server_tool_use",
                    "id": "srvtoolu_1",
                    "name": "web_search",
                    "input": {"query": "q"},
                },
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "srvtoolu_1",
                    "content": [
                        {
                            "type": "web_search_result",
                            "title": "T",
                            "url": "https://x",
                            "encrypted_content": "opaque",
                        }
                    ],
                },
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "srvtoolu_2",
                    "content": {
                        "type": "web_search_tool_result_error",
                        "error_code": "unavailable",
                    },
                },
                text("found", citations=[{"type": "web_search_result_location"}]),
            ),
            user(text("b")),
        ]
    )
    assert chat["messages"][1] == {
        "role": "assistant",
        "content": '[called the tool \'web_search\' with {"query": "q"}]\n\n'
        "<web_search_results>\n- T: https://x\n</web_search_results>\n\n"
        "[the web search failed: unavailable]\n\nfound",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "{}"),
        (None, "{}"),
        ("", "{}"),
        ('{"a', '{"' + MALFORMED_ARGUMENTS + '":"{\\"a"}'),
        ([1], '{"' + MALFORMED_ARGUMENTS + '":[1]}'),
        (7, '{"' + MALFORMED_ARGUMENTS + '":7}'),
    ],
)
def test_the_engine_always_gets_an_object_as_arguments(given: Any, expected: str) -> None:
    block = {"type": "tool_use", "id": "t", "name": "f", "input": given}
    messages = [user(text("a")), assistant(block), user(tool_result("t", "r"))]
    call = translate(messages)["messages"][1]["tool_calls"][0]
    assert call["function"]["arguments"] == expected


def test_an_assistant_message_without_anything_keeps_its_place() -> None:
    chat = translate([user(text("a")), assistant(), user(text("b"))])
    assert chat["messages"][1] == {"role": "assistant", "content": ""}


def test_consecutive_messages_of_one_role_are_not_merged() -> None:
    chat = translate([user(text("a")), user(text("b")), assistant(text("c")), assistant(text("d"))])
    assert [m["content"] for m in chat["messages"]] == ["a", "b", "c", "d"]


def test_a_last_assistant_message_is_continued() -> None:
    chat = translate([user(text("a")), assistant(text("The answer is \n"))])
    assert chat["messages"][-1] == {"role": "assistant", "content": "The answer is"}
    assert chat["continue_final_message"] is True
    assert chat["add_generation_prompt"] is False


@pytest.mark.parametrize("last", [assistant(), assistant(text(" ")), assistant(tool_use("t"))])
def test_a_last_assistant_message_without_text_is_not_continued(last: Any) -> None:
    assert "continue_final_message" not in translate([user(text("a")), last])


TOOL = {"name": "f", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, {}),
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f"},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        ({"type": "tool", "name": "web_search"}, {"tool_choice": "auto"}),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
def test_tool_choices(choice: Any, expected: dict[str, Any]) -> None:
    chat = translate("hi", tools=[TOOL], tool_choice=choice)
    names = ("tool_choice", "parallel_tool_calls")
    assert {name: chat[name] for name in names if name in chat} == expected


@pytest.mark.parametrize(
    "type_",
    [
        "web_search_20250305",
        "web_fetch_20250910",
        "bash_20250124",
        "text_editor_20250728",
        "computer_20250124",
        "code_execution_20250825",
        "memory_20250818",
        "something_20990101",
    ],
)
def test_server_tools_are_left_out_and_reported(type_: str) -> None:
    tool = {"type": type_, "name": "n", "max_uses": 8, "allowed_domains": ["x"]}
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "q"}],
        "tools": [tool, {"type": "custom", **TOOL}],
    }
    request = decode_request(json.dumps(body).encode())
    assert server_tools(request) == [ServerTool(type_, "n")]
    chat = to_chat_request(request, ENGINE, max_tokens=9)
    assert [one["function"]["name"] for one in chat["tools"]] == ["f"]


def test_without_a_tool_left_neither_tools_nor_a_choice_is_sent() -> None:
    chat = translate(
        "hi",
        tools=[{"type": "web_search_20250305", "name": "web_search"}],
        tool_choice={"type": "tool", "name": "web_search"},
    )
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(chat)
    assert "tools" not in translate("hi", tools=[])


def test_an_engine_without_a_tool_parser_gets_no_tools() -> None:
    engine = EngineProfile(model="m", max_model_len=10, tools=False)
    assert "tools" not in translate("hi", engine, tools=[TOOL], tool_choice={"type": "any"})


@pytest.mark.parametrize("schema", [None, "absent", [], True])
def test_a_tool_without_a_usable_schema_takes_no_arguments(schema: Any) -> None:
    tool = {"name": "f"} if schema == "absent" else {"name": "f", "input_schema": schema}
    (sent,) = translate("hi", tools=[tool])["tools"]
    assert sent["function"]["parameters"] == {"type": "object", "properties": {}}


def test_strict_and_deferred_tools() -> None:
    tools = [TOOL | {"strict": True, "defer_loading": True}, TOOL | {"strict": False}]
    sent = translate("hi", tools=tools)["tools"]
    assert [one["function"].get("strict") for one in sent] == [True, None]


@pytest.mark.parametrize(
    ("thinking", "effort", "expected"),
    [
        (None, None, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"type": "disabled"}, "high", {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"type": "adaptive"}, None, {"chat_template_kwargs": {"enable_thinking": True}}),
        (
            {"type": "adaptive"},
            "max",
            {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_effort": "high"},
        ),
        (
            {"type": "enabled", "budget_tokens": 2048},
            "low",
            {
                "chat_template_kwargs": {"enable_thinking": True},
                "thinking_token_budget": 2048,
                "reasoning_effort": "low",
            },
        ),
    ],
)
def test_thinking_and_effort(thinking: Any, effort: str | None, expected: dict[str, Any]) -> None:
    chat = translate("hi", thinking=thinking, output_config={"effort": effort})
    names = ("chat_template_kwargs", "reasoning_effort", "thinking_token_budget")
    assert {name: chat[name] for name in names if name in chat} == expected


@pytest.mark.parametrize(
    ("efforts", "thinking", "effort", "expected"),
    [
        ({"low", "medium", "high"}, {"type": "disabled"}, "high", "low"),
        ({"none", "low"}, {"type": "disabled"}, "high", "none"),
        ({"low", "medium"}, {"type": "adaptive"}, "xhigh", "medium"),
        ({"high", "max"}, {"type": "adaptive"}, "low", "high"),
        ({"none", "high"}, {"type": "adaptive"}, "low", "high"),
        ({"low", "high"}, {"type": "adaptive"}, "brand_new", None),
        (set(), {"type": "adaptive"}, "high", None),
    ],
)
def test_effort_is_the_nearest_that_the_template_takes(
    efforts: set[str], thinking: Any, effort: str, expected: str | None
) -> None:
    engine = EngineProfile(model="m", max_model_len=9, efforts=frozenset(efforts))
    chat = translate("hi", engine, thinking=thinking, output_config={"effort": effort})
    assert chat.get("reasoning_effort") == expected
    assert "chat_template_kwargs" not in chat


def test_the_profiles_own_template_arguments_go_along() -> None:
    engine = EngineProfile(
        model="m",
        max_model_len=9,
        thinking_switch="thinking",
        template_kwargs={"preserve_thinking": True},
    )
    kwargs = translate("hi", engine, thinking={"type": "adaptive"})["chat_template_kwargs"]
    assert kwargs == {"preserve_thinking": True, "thinking": True}


def test_sampling_and_stop_sequences_are_passed_on() -> None:
    chat = translate("hi", temperature=0, top_p=0.5, top_k=7, stop_sequences=["a", "b"])
    assert (chat["temperature"], chat["top_p"], chat["top_k"]) == (0, 0.5, 7)
    assert chat["stop"] == ["a", "b"]


@pytest.mark.parametrize("where", ["output_config", "output_format"])
def test_a_json_schema_becomes_the_response_format(where: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object", "z": 1, "a": 2}}
    fields = {"output_config": {"format": wanted}} if where == "output_config" else {where: wanted}
    assert translate("hi", **fields)["response_format"] == {
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
    ("body", "words"),
    [
        (b"", "not valid"),
        (b"[]", "not valid"),
        (b"\xff", "not valid"),
        (b'{"model":"m","max_tokens":1}', "messages"),
        (b'{"model":"m","max_tokens":1,"messages":[]}', "messages"),
        (b'{"model":"","max_tokens":1,"messages":[{"role":"user"}]}', "model"),
        (b'{"model":"m","messages":[{"role":"user"}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":0,"messages":[{"role":"user"}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"tool"}]}', "messages[0].role"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":5}]}', "content"),
        (b'{"model":"m","max_tokens":"1","messages":[{"role":"user"}]}', "max_tokens"),
        (b'{"model":"m","max_tokens":1,"tools":[{}],"messages":[{"role":"user"}]}', "tools[0]"),
        (b'{"model":"m","max_tokens":1,"messages":' + b"[" * 5000, "not valid"),
    ],
)
def test_what_is_no_request_is_refused_with_the_place(body: bytes, words: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        decode_request(body)
    assert words in caught.value.message


def test_half_a_surrogate_pair_does_not_end_the_session() -> None:
    def body(escape: bytes) -> bytes:
        return (
            b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a' + escape + b'"},'
            b'{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":'
            b'{"k":"' + escape + b'"}}]},{"role":"user","content":[{"type":"tool_result",'
            b'"tool_use_id":"t","content":[{"type":"text","text":"' + escape + b'"}]}]}]}'
        )

    for escape, shown in (
        (b"\\ud83d", "\ufffd"),
        (b"\\ude00", "\ufffd"),
        (b"\\ud83d\\ude00", "😀"),
        (b"\\\\ud83d", "\\ud83d"),
        (b"\\ud83dx", "\ufffdx"),
    ):
        chat = to_chat_request(decode_request(body(escape)), ENGINE, max_tokens=1)
        first, call, result = chat["messages"]
        assert first["content"] == "a" + shown
        assert result["content"] == shown
        arguments = call["tool_calls"][0]["function"]["arguments"]
        assert json.loads(arguments) == {"k": shown}
