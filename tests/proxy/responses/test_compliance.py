"""The public cases of this API, as data of our own: Open Responses', vLLM's and llama.cpp's.

`cases.json` says of each where it is from, what is sent, what the engine answers and what has to
come of it; or which test of this folder it is. `docs/responses.md` shows them; written again by
`python -m tests.proxy.responses.test_compliance`.
"""

from __future__ import annotations

import ast
import json
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from autosre_lab.scripted.chat_engine import ToolCall, Turn
from tests.proxy.conftest import StartLab
from tests.proxy.responses.reading import read_stream

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "responses.md"
BESIDE = HERE / "beside.json"
CASES: list[dict[str, Any]] = json.loads((HERE / "cases.json").read_text("utf-8"))
ASKED = [case for case in CASES if "body" in case]
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
# What Open Responses' schema requires of a response.
REQUIRED = (
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model"),
    *("previous_response_id", "instructions", "output", "error", "tools", "tool_choice"),
    *("truncation", "parallel_tool_calls", "text", "top_p", "presence_penalty"),
    *("frequency_penalty", "top_logprobs", "temperature", "reasoning", "user", "usage"),
    *("max_output_tokens", "max_tool_calls", "store", "background", "service_tier", "metadata"),
    *("safety_identifier", "prompt_cache_key"),
)
WHY = {
    "reasoning tokens are counted apart": "no: 0; the engine's Chat Completions do not count them",
    "prompt tokens in the answer (enable_response_messages)": "no: vLLM's own field",
    "llama.cpp's own timings and progress in the stream": "no: llama.cpp's own fields",
    "log probabilities": "refused by name with a 400",
}


def named(case: dict[str, Any]) -> str:
    return f"{case['from']}: {case['name']}"


def turn_of(case: dict[str, Any]) -> Turn:
    made: dict[str, Any] = {}
    for part in case.get("answer", [{"text": "Hello there, friend."}]):
        if "call" in part:
            name, arguments = part["call"]
            made.setdefault("tool_calls", []).append(ToolCall(name=name, arguments=arguments))
        elif "finish" in part:
            made["finish_reason"] = part["finish"]
        else:
            made |= part
    return Turn(**made)


def at(answer: Any, path: str) -> Any:
    return reduce(lambda one, key: one[int(key) if key.isdigit() else key], path.split("."), answer)


@pytest.mark.parametrize("case", ASKED, ids=named)
async def test_a_public_case(start_lab: StartLab, case: dict[str, Any]) -> None:
    lab = await start_lab(turn_of(case))
    async with lab.http.post(f"{lab.url}/v1/responses", json=case["body"]) as response:
        status, data = response.status, await response.read()
    assert status == case.get("status", 200), data
    if status != 200:
        assert json.loads(data)["error"]["message"]
        return
    kinds: list[str] = []
    if case["body"].get("stream"):
        read = read_stream(data)
        kinds = [event["type"] for event in read.events]
        for event in read.events:
            EVENTS.validate_python(event)
        answer = read.last["response"]
    else:
        answer = json.loads(data)
    Response.model_validate(answer)
    assert not [name for name in REQUIRED if name not in answer]
    assert answer["status"] == case.get("ended", "completed")
    if "types" in case:
        assert [item["type"] for item in answer["output"]] == case["types"]
    assert set(case.get("events", ())) <= set(kinds)
    if case.get("usage"):
        assert answer["usage"]["total_tokens"] > 0
    for path, right in case.get("equals", {}).items():
        assert at(answer, path) == right
    for path, right in case.get("begins", {}).items():
        assert at(answer, path).startswith(right)
    sent = lab.upstream.chats[0].body
    if "sent" in case:
        assert [message["content"] for message in sent["messages"]] == case["sent"]
    right = case.get("engine", {})
    assert {name: sent.get(name) for name in right} == right
    if "tools" in case:
        assert [tool["function"]["name"] for tool in sent["tools"]] == case["tools"]


def test_what_is_another_test_is_there_and_what_is_not_built_has_a_reason() -> None:
    for case in CASES:
        if case.get("test"):
            file, _, name = case["test"].partition("::")
            functions = ast.walk(ast.parse((HERE / file).read_text("utf-8")))
            assert name in {getattr(node, "name", "") for node in functions}
        elif "body" not in case:
            assert WHY[case["name"]]
    assert len({named(case) for case in CASES}) == len(CASES)


def page() -> str:
    beside: dict[str, dict[str, str]] = json.loads(BESIDE.read_text("utf-8"))
    head = ["from", "case", "here", *beside]
    rows = [
        [one["from"], one["name"], WHY.get(one["name"], "yes")]
        + [column.get(named(one), "not asked") for column in beside.values()]
        for one in CASES
    ]
    lines = [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join([HEAD, *lines, ""])


HEAD = """# The public cases of the Responses API

Cases that others have published for this API, written anew as data
(`tests/proxy/responses/cases.json`); none of their code is here. Each is asked of the real proxy in
front of a scripted engine, and read by the types of OpenAI's own SDK (every event, and the whole
response) and by the list of fields that Open Responses requires. The page is written by
`python -m tests.proxy.responses.test_compliance`; a test compares it.

The other columns are the same cases, asked on 2026-11-27 of vLLM's own endpoint on the CPU
(SmolLM2 135M, its store of responses switched on) and of agentic-api (from PyPI) in front of that
engine, by `python -m tests.proxy.responses.beside`. There a model chooses what it says, so form is
judged alone: the status, OpenAI's types (a field that they require and that is missing is a "no",
though the SDKs read over it), how it ended, calls where the request forces them; fields that Open
Responses requires and that are not there are counted. This model sees no images. agentic-api's
WebSocket takes a connection; what it does then was not asked.

llama.cpp's and Open Responses' suites can be pointed at the proxy as they are
(`--base-url http://127.0.0.1:8011/v1`).
"""


def test_the_page_shows_these_cases() -> None:
    assert PAGE.read_text("utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
