"""What the installed vLLM makes of deferred tools: its own renderer, tokenizer and parsers."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autosre_lab.provision import provision
from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.recipe import load_recipe
from tests.proxy.chat_templates import FOLDER, TEMPLATES
from tests.proxy.recorded_sessions import session_of_changes
from tests.proxy.requests_in import assistant, tool_result, tool_use, user

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

FIELDS: dict[str, tuple[Any, Any]] = {
    "text": ({"type": "string"}, "5"),
    "whole": ({"type": "integer"}, 5),
    "number": ({"type": "number"}, 1.5),
    "yes": ({"type": "boolean"}, True),
    "nothing": ({"type": "null"}, None),
    "list": ({"type": "array", "items": {"type": "integer"}}, [1, 2]),
    "object": (
        {"type": "object", "properties": {"deep": {"type": "array", "items": {"type": "boolean"}}}},
        {"deep": [True, False]},
    ),
    "maybe": ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 7),
    "none": ({"type": ["integer", "null"]}, None),
    "either": ({"anyOf": [{"type": "boolean"}, {"type": "array"}]}, [1]),
    "word": ({"enum": ["a", "b"]}, "a"),
}
EXPECTED = {name: value for name, (_, value) in FIELDS.items()}
LATER = {
    "name": "Later",
    "description": "comes later",
    "input_schema": {
        "type": "object",
        "properties": {name: schema for name, (schema, _) in FIELDS.items()},
    },
    "defer_loading": True,
}
LOADED = {"name": "ToolSearch", "description": "find", "input_schema": {"type": "object"}}


def written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


TAGS = "".join(
    f"<parameter={name}>\n{written(value)}\n</parameter>\n" for name, value in EXPECTED.items()
)
ANSWERS = {
    "hermes": '<tool_call>\n{"name": "Later", "arguments": '
    + json.dumps(EXPECTED)
    + "}\n</tool_call>",
    "qwen3_coder": f"<tool_call>\n<function=Later>\n{TAGS}</function>\n</tool_call>",
    "qwen3_xml": f"<tool_call>\n<function=Later>\n{TAGS}</function>\n</tool_call>",
}


def chat(body: Mapping[str, Any], engine: EngineProfile) -> dict[str, Any]:
    request = decode_request(json.dumps(body).encode())
    sent: dict[str, Any] = json.loads(
        msgspec.json.encode(to_chat_request(request, engine, max_tokens=9))
    )
    return sent


def test_the_engine_keeps_the_prefix_and_parses_calls_of_fetched_tools_by_their_schema() -> None:
    parsers = {load_recipe(name).engine.args["tool-call-parser"] for name in RECIPES}
    assert parsers == set(ANSWERS), "a recipe names a parser that is not tried here"
    provisioned = provision(load_recipe("smollm2-135m-cpu"))
    own = (provisioned.model_path / "chat_template.jinja").read_text("utf-8")
    templates = {name: (FOLDER / f"{name}.jinja").read_text("utf-8") for name in TEMPLATES}
    templates["the provisioned model's own"] = own
    sessions = []
    for name, source in templates.items():
        engine = EngineProfile(
            model="m",
            max_model_len=99_999,
            mid_system="reminder" if name == "calls_as_tags" else "system",
            deferred_tools="template" if name == "knows_references" else "argument",
        )
        sessions.append((source, [chat(body, engine) for body in session_of_changes()]))
    fetched = [
        user({"type": "text", "text": "now"}),
        assistant(tool_use("t", name="ToolSearch")),
        user(tool_result("t", [{"type": "tool_reference", "tool_name": "Later"}])),
    ]
    engine = EngineProfile(model="m", max_model_len=99_999, deferred_tools="argument")
    body = {"model": "m", "max_tokens": 9, "messages": fetched, "tools": [LOADED, LATER]}
    asked = chat(body, engine)
    found = in_engine(
        {"sessions": sessions, "answers": [(name, asked, ANSWERS[name]) for name in ANSWERS]},
        python=provisioned.engine_python,
        model=provisioned.model_path,
    )

    for name, prompts in zip(templates, found["prompts"], strict=True):
        for before, after in itertools.pairwise(prompts):
            assert after[: len(before)] == before, name
            assert len(after) > len(before)
    for name, (whole, pieces) in zip(ANSWERS, found["answers"], strict=True):
        for parsed in (whole, pieces):
            assert [one["name"] for one in parsed] == ["Later"], name
            assert json.loads(parsed[0]["arguments"]) == EXPECTED, name


MARKS = ("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "<|eot_id|>")
RECIPES = ("smollm2-135m-cpu", "qwen3-coder-30b-a3b-fp8", "qwen3.6-35b-a3b-nvfp4")


def in_engine(given: dict[str, Any], *, python: Path, model: Path) -> dict[str, Any]:
    done = subprocess.run(
        [str(python), str(Path(__file__).with_name("engine_prompts.py"))],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=500,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": "",
            "MODEL": str(model),
            "MARKS": " ".join(MARKS),
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
