"""Reports of what engines and clients have sent, each as a file in `cases/`, through a real proxy.

A case says what the engine sends (`engine.pieces`: an object is one `data:` line, a text is sent as
it is, a number is a pause in seconds, "CUT" cuts the connection), and what the client gets
(`answer`) or the engine (`engine_got`: the body has at least this; `engine_never`: texts that it
must not hold). Each runs with a stream and without, where it does not say `"stream"`.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.scripted.chat_engine import CUT, HttpError, Turn
from tests.proxy.conftest import Lab, StartLab
from tests.proxy.event_grammar import events_of, read_stream

pytestmark = pytest.mark.anyio

CASES = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((Path(__file__).parent / "cases").glob("*.json"))
}


def alternating(body: Mapping[str, Any]) -> str:
    roles = [one["role"] for one in body["messages"] if one["role"] != "system"]
    tools = {"tool": "user"}
    turns = [tools.get(role, role) for role in roles]
    if any(a == b == "user" for a, b in itertools.pairwise(turns)) or (
        "system" in [one["role"] for one in body["messages"][1:]]
    ):
        return "Conversation roles must alternate user/assistant/user/assistant/..."
    return ""


def no_tool_parser(body: Mapping[str, Any]) -> str:
    if body.get("tools") and body.get("tool_choice", "auto") == "auto" and "stream" in body:
        return (
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
        )
    return ""


TEMPLATES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "alternating": alternating,
    "no tool parser": no_tool_parser,
    "": lambda _: "",
}


def runs() -> list[Any]:
    return [
        pytest.param(case, stream, id=f"{name}-{'stream' if stream else 'whole'}")
        for name, case in CASES.items()
        for stream in ([case["stream"]] if "stream" in case else [True, False])
    ]


@pytest.mark.parametrize(("case", "stream"), runs())
async def test_a_case_is_answered_right(
    start_lab: StartLab, case: dict[str, Any], stream: bool
) -> None:
    engine = case.get("engine", {})
    lab = await start_lab(
        turn_of(engine), refuses=TEMPLATES[engine.get("template", "")], **case.get("proxy", {})
    )
    body = {
        "model": "claude-local",
        "max_tokens": 512,
        "messages": [{"role": "user", "content": "hello"}],
        **case.get("request", {}),
        **({"stream": True} if stream else {}),
    }
    started_s = time.monotonic()
    status, answer = await send(lab, body, case)
    took_s = time.monotonic() - started_s

    expected = case["answer"]
    assert {key: answer.get(key) for key in expected if key not in OTHER} == {
        key: value for key, value in expected.items() if key not in OTHER
    }
    if status != 200 or "error" not in answer:  # an error behind a delivered part comes with 200
        assert status == expected.get("status", 200), answer
    if "error_has" in expected:
        assert expected["error_has"] in answer["message"]
    assert took_s < expected.get("within_s", 30)
    if "engine_got" in case:
        assert_holds(lab.upstream.chats[-1].body, case["engine_got"])
    # What is asked of the template beforehand is the same in every case.
    of_client = [one.raw for one in lab.upstream.requests if b"first question" not in one.raw]
    for text in case.get("engine_never", ()):
        assert all(text.encode() not in raw for raw in of_client)


OTHER = {"status", "within_s", "error_has"}


def turn_of(engine: Mapping[str, Any]) -> Turn:
    if (status := engine.get("status", 200)) != 200:
        return Turn(
            http_error=HttpError(
                status=status,
                body="".join(map(piece_of, engine["pieces"])),  # type: ignore[arg-type]
                headers=engine.get("headers", {}),
            )
        )
    if "pieces" not in engine:
        return Turn(text="ok")
    return Turn(
        pieces=[piece_of(piece) for piece in engine["pieces"]], headers=engine.get("headers", {})
    )


def piece_of(piece: Any) -> str | float:
    if isinstance(piece, dict):
        return f"data: {json.dumps(piece)}\n\n"
    return CUT if piece == "CUT" else piece


async def send(lab: Lab, body: dict[str, Any], case: Mapping[str, Any]) -> tuple[int, Any]:
    """Return the status, and what the answer says in a form that is the same for both kinds."""
    url = lab.url + case.get("path", "/v1/messages")
    data = case["raw_request"].encode() if "raw_request" in case else json.dumps(body).encode()
    async with lab.http.post(url, data=data, headers=case.get("headers", {})) as response:
        received = await response.read()
        if response.content_type == "application/json":
            message = json.loads(received)
            if message["type"] == "error":
                return response.status, message_of(message)
            content = message["content"]
            stop, usage = message["stop_reason"], message["usage"]
        else:
            events = events_of(received)
            if events[-1]["type"] == "error":
                return response.status, message_of(events[-1])
            whole = read_stream(received)
            content = [
                {
                    "type": block.type,
                    "name": block.start.get("name"),
                    "input": json.loads(block.content or "{}") if block.type == "tool_use" else {},
                    block.type: block.content,
                }
                for block in whole.blocks
            ]
            delta = next(one for one in events if one["type"] == "message_delta")
            stop, usage = delta["delta"]["stop_reason"], delta["usage"]
        return response.status, {
            "text": "".join(one["text"] for one in content if one["type"] == "text"),
            "thinking": "".join(one["thinking"] for one in content if one["type"] == "thinking"),
            "tools": [[one["name"], one["input"]] for one in content if one["type"] == "tool_use"],
            "stop_reason": stop,
            **usage,
        }


def message_of(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": event["error"]["type"], "message": event["error"]["message"]}


def assert_holds(whole: Any, part: Any, at: str = "body") -> None:
    """A mapping has at least what is expected; a list has exactly as many elements."""
    if isinstance(part, dict):
        for key, value in part.items():
            assert key in whole, f"{at}.{key} is missing in {whole}"
            assert_holds(whole[key], value, f"{at}.{key}")
    elif isinstance(part, list):
        assert len(whole) == len(part), f"{at}: {whole}"
        for number, value in enumerate(part):
            assert_holds(whole[number], value, f"{at}[{number}]")
    else:
        assert whole == part, at
