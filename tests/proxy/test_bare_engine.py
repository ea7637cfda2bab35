"""The real vLLM without parsers, behind a template that insists: it is found out, and served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from click.testing import CliRunner

from autosre_lab.cli import main
from autosre_lab.local import start, stop
from autosre_lab.recipe import load_recipe, parse_recipe
from autosre_lab.stack import Stack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

TOOL: Any = {"name": "Read", "input_schema": {"type": "object", "properties": {}}}
PARSERS = ("enable-auto-tool-choice", "tool-call-parser", "tool-strict-level")
SAID = "A short plan.</think>The whole answer."


@pytest.fixture
def bare_stack() -> Iterator[Stack]:
    tree = load_recipe("smollm2-135m-cpu").model_dump(by_alias=True, exclude_defaults=True)
    tree |= {"schema": "autosre.recipe/v1", "name": "smollm2-bare"}
    args = {name: value for name, value in tree["engine"]["args"].items() if name not in PARSERS}
    args["chat-template"] = str(Path(__file__).with_name("strict_template.jinja"))
    tree["engine"] = {"args": args}
    yield start(parse_recipe(tree))
    stop()


def test_an_engine_without_parsers_is_found_out_and_served(bare_stack: Stack) -> None:
    shown = CliRunner().invoke(main, ["status", "--check", "--json"])
    assert shown.exit_code == 0, shown.output
    found = {one["name"]: one for one in json.loads(shown.stdout)["engine"]}
    flags = {name: one["flag"] for name, one in found.items() if one["flag"]}
    assert flags == {
        "tool calls": "--enable-auto-tool-choice --tool-call-parser …",
        "thoughts": "--reasoning-parser …",
    }
    for name, what in {
        "system messages in the middle": "reminders",
        "two messages of one role": "merged",
        "a question behind results": "put into the last result",
        "ids of calls": "nine letters and digits",
    }.items():
        assert what in found[name]["found"], found[name]

    with anthropic.Anthropic(
        base_url=bare_stack.proxy_url, auth_token=bare_stack.token, api_key=None, max_retries=0
    ) as sdk:
        ask: dict[str, Any] = {"model": "any", "max_tokens": 40, "tools": [TOOL]}
        guided = {"structured_outputs": {"choice": [SAID]}}
        for _ in range(2):  # asked for the first time, and as it is known by then
            answer = sdk.messages.create(messages=SESSION, extra_body=guided, **ask)
            assert said(answer.content) == [
                ("thinking", "A short plan."),
                ("text", "The whole answer."),
            ]
        with sdk.messages.stream(messages=SESSION, extra_body=guided, **ask) as stream:
            streamed = stream.get_final_message()
        assert said(streamed.content) == said(answer.content)
        counted = sdk.messages.count_tokens(model="any", messages=SESSION, tools=[TOOL])
        assert counted.input_tokens == sum(
            (
                streamed.usage.input_tokens,
                streamed.usage.cache_read_input_tokens or 0,
                streamed.usage.cache_creation_input_tokens or 0,
            )
        )


SESSION: Any = [
    {"role": "user", "content": "Read both files."},
    {"role": "user", "content": "Be quick."},
    {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "toolu_01ABCDEFGHIJKLMNOP", "name": "Read", "input": {}},
            {"type": "tool_use", "id": "toolu_02ABCDEFGHIJKLMNOP", "name": "Read", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_02ABCDEFGHIJKLMNOP", "content": "two"},
            {"type": "tool_result", "tool_use_id": "toolu_01ABCDEFGHIJKLMNOP", "content": "one"},
            {"type": "text", "text": "What stands in them?"},
        ],
    },
    {"role": "system", "content": "A remark in the middle."},
]


def said(content: Any) -> list[tuple[str, str]]:
    return [(block.type, getattr(block, block.type)) for block in content]
