"""Each field of a request works, or is refused by name; a table, field by field."""

from __future__ import annotations

import gzip
import importlib.util
import json
from typing import Any

import openai
import pytest

from autosre_lab.scripted.chat_engine import ToolCall, Turn
from tests.proxy.conftest import StartLab
from tests.proxy.responses.bodies import FUNCTION, PATCH, ask

pytestmark = pytest.mark.anyio

PATH = "/v1/responses"
OTHER = {**FUNCTION, "name": "other"}
LOOK = {"type": "function", "name": "look"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
JSON_FORMAT = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}

# What is sent, what the response repeats, what the engine gets.
WORKS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "metadata": ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}, {}),
    "prompt_cache_key": ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}, {}),
    "include": ({"include": ["reasoning.encrypted_content"]}, {}, {}),
    "include, of tools that are not here": ({"include": ["file_search_call.results"]}, {}, {}),
    "service_tier": ({"service_tier": "flex"}, {"service_tier": "default"}, {}),
    "truncation": ({"truncation": "disabled"}, {"truncation": "disabled"}, {}),
    "truncation auto, of which nothing is done": (
        {"truncation": "auto"},
        {"truncation": "disabled"},
        {},
    ),
    "temperature": ({"temperature": 0.5}, {"temperature": 0.5}, {"temperature": 0.5}),
    "top_p": ({"top_p": 0.5}, {"top_p": 0.5}, {"top_p": 0.5}),
    "max_output_tokens": (
        {"max_output_tokens": 9},
        {"max_output_tokens": 9},
        {"max_completion_tokens": 9},
    ),
    "max_tool_calls": ({"max_tool_calls": 2}, {"max_tool_calls": 2}, {}),
    "parallel_tool_calls": (
        {"tools": [FUNCTION], "parallel_tool_calls": False},
        {"parallel_tool_calls": False},
        {"parallel_tool_calls": False},
    ),
    "tool_choice": (
        {"tools": [FUNCTION], "tool_choice": "required"},
        {"tool_choice": "required"},
        {"tool_choice": "required"},
    ),
    "allowed_tools": (
        {
            "tools": [FUNCTION, OTHER],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [LOOK]},
        },
        {},
        {"tools": ["look"]},
    ),
    "allowed_tools, none of them": (
        {
            "tools": [FUNCTION],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []},
        },
        {},
        {"tools": ["look"], "tool_choice": "none"},
    ),
    "text.format": (
        {"text": {"format": JSON_FORMAT}},
        {"text": {"format": {**JSON_FORMAT, "description": None}, "verbosity": "medium"}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
            }
        },
    ),
    "text.verbosity": ({"text": {"verbosity": "low"}}, {}, {}),
    "reasoning, in a word that nobody knows": (
        {"reasoning": {"effort": "galactic", "summary": "auto"}},
        {"reasoning": {"effort": "galactic", "summary": "auto"}},
        {},
    ),
    "user and safety_identifier": (
        {"user": "u", "safety_identifier": "s"},
        {"user": "u", "safety_identifier": "s"},
        {},
    ),
    "stream_options": ({"stream_options": {"include_obfuscation": False}}, {}, {}),
    "store false": ({"store": False}, {"store": False}, {}),
    "stop, which the engine knows": ({"stop": ["x"]}, {}, {"stop": ["x"]}),
    "n 1": ({"n": 1}, {}, {}),
    "chat_template_kwargs": (
        {"chat_template_kwargs": {"a": 1}},
        {},
        {"chat_template_kwargs": {"a": 1}},
    ),
    "a field that nobody knows": ({"frobnicate": 1}, {}, {}),
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "truncation, in another word": ({"truncation": "middle"}, "truncation"),
    "top_logprobs": ({"top_logprobs": 3}, "top_logprobs"),
    "include, of log probabilities": ({"include": ["message.output_text.logprobs"]}, "logprobs"),
    "metadata that is no text": ({"metadata": {"a": 1}}, "metadata"),
    "store true": ({"store": True}, "store=true"),
    "background": ({"background": True}, "background"),
    "conversation": ({"conversation": "conv_1"}, "conversation"),
    "prompt": ({"prompt": {"id": "p"}}, "prompt"),
    "allowed_tools that are not declared": (
        {
            "tools": [FUNCTION],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "unknown"}],
            },
        },
        "tool_choice",
    ),
    "text.format without a schema": (
        {"text": {"format": {"type": "json_schema", "name": "n"}}},
        "schema",
    ),
    "text.format that nobody knows": ({"text": {"format": {"type": "xml"}}}, "text.format"),
    "max_output_tokens 0": ({"max_output_tokens": 0}, "max_output_tokens"),
    "n": ({"n": 2}, "n: this proxy cannot hand it on"),
    "response_format": ({"response_format": {"type": "json_object"}}, "use text.format"),
    "prompt_logprobs": ({"prompt_logprobs": 1}, "prompt_logprobs"),
    "chat_template_kwargs that is no object": ({"chat_template_kwargs": [1]}, "object"),
    "an unknown choice": ({"tools": [FUNCTION], "tool_choice": "any"}, "tool_choice"),
}


@pytest.mark.parametrize("name", WORKS)
async def test_it_works(start_lab: StartLab, name: str) -> None:
    fields, repeated, engine = WORKS[name]
    lab = await start_lab()
    status, answer, _ = await lab.post(ask("Hi", **fields), PATH)
    assert status == 200, answer
    assert {key: answer[key] for key in repeated} == repeated
    got = dict(lab.upstream.chats[0].body)
    got["tools"] = [tool["function"]["name"] for tool in got.get("tools", ())]
    assert {key: got[key] for key in engine} == engine


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_by_name(start_lab: StartLab, name: str) -> None:
    fields, named = REFUSED[name]
    lab = await start_lab()
    status, answer, _ = await lab.post(ask("Hi", **fields), PATH)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert named in answer["error"]["message"]
    assert not lab.upstream.chats


async def test_a_free_form_tool_is_called_with_its_text(start_lab: StartLab) -> None:
    call = ToolCall(name="apply_patch", arguments=json.dumps({"input": "+a\n"}))
    lab = await start_lab(Turn(tool_calls=[call]))
    _, answer, _ = await lab.post(ask("Hi", tools=[PATCH]), PATH)
    assert (answer["output"][0]["type"], answer["output"][0]["input"]) == (
        "custom_tool_call",
        "+a\n",
    )
    (tool,) = lab.upstream.chats[0].body["tools"]
    assert "lark grammar:\nstart: LINE+" in tool["function"]["description"]


def zstd_of(data: bytes) -> bytes:
    """Frame data as zstd does what it cannot compress."""
    assert len(data) < 256
    header = (len(data) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(data)]) + header + data


async def test_a_compressed_body_is_read_or_refused_by_name(start_lab: StartLab) -> None:
    lab = await start_lab()
    body = json.dumps({"model": "m", "input": "Hi"}).encode()
    status, _, _ = await lab.post(gzip.compress(body), PATH, content_encoding="gzip")
    assert status == 200
    known = any(
        importlib.util.find_spec(name.partition(".")[0]) and importlib.util.find_spec(name)
        for name in ("zstandard", "compression.zstd")
    )
    status, answer, _ = await lab.post(zstd_of(body), PATH, content_encoding="zstd")
    assert status == (200 if known else 415)
    assert known or "zstd" in answer["error"]["message"]


@pytest.mark.parametrize(("sees", "right"), [(True, ["text", "image"]), (False, ["text"])])
async def test_the_catalogue_says_whether_the_model_sees(
    start_lab: StartLab, sees: bool, right: list[str]
) -> None:
    def refuses(body: Any) -> str:
        return "" if sees or "image_url" not in json.dumps(body) else "not multimodal"

    lab = await start_lab(refuses=refuses)
    async with lab.http.get(f"{lab.url}/codex/models") as response:
        (model,) = (await response.json())["models"]
    assert model["input_modalities"] == right


async def test_openais_sdk_reads_the_models(start_lab: StartLab) -> None:
    lab = await start_lab()
    async with openai.AsyncOpenAI(base_url=f"{lab.url}/v1", api_key="x") as sdk:
        (model,) = [one async for one in sdk.models.list()]
        assert (model.id, model.object) == ("scripted-model", "model")
        assert isinstance(model.created, int)
        assert model.owned_by
        assert (await sdk.models.retrieve("any")).id == "any"
