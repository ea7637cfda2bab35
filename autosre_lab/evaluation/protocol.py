"""L0: does the API keep its promises, whatever the model says?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from autosre_lab.bench.target import Target
from autosre_lab.evaluation.check import CheckResult
from autosre_lab.evaluation.conversation import ApiReply, Conversation

__all__ = ["LEAKS", "TOOL", "check_protocol", "grammar_faults", "leaked"]

TOOL: dict[str, Any] = {
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
LEAKS = re.compile(
    r"</?tool_call>|<function=|</function>|<parameter=|</?think>|<\|im_(?:start|end)\|>|<｜"
)
"""What a parser leaves in the text when it misses a call, a thought or a turn's end."""

_ASK = [{"role": "user", "content": "What is the weather in Rome? Use the tool."}]
_CHOICE = {"type": "tool", "name": TOOL["name"]}


def leaked(text: str) -> str | None:
    """Return the first mark of a chat template or tool parser in a text, if any."""
    found = LEAKS.search(text)
    return found[0] if found else None


def grammar_faults(events: Sequence[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the order of a message's events.

    A message starts, has blocks one after the other, each opened, filled and closed, then its
    stop reason, then its end. Pings may stand anywhere.
    """
    faults: list[str] = []
    kinds = [str(event.get("type")) for event in events if event.get("type") != "ping"]
    if kinds[:1] != ["message_start"]:
        faults.append(f"begins with {kinds[:1]}")
    if kinds[-2:] != ["message_delta", "message_stop"]:
        faults.append(f"ends with {kinds[-2:]}")
    opened: int | None = None
    following = 0
    for event in events:
        kind, at = event.get("type"), event.get("index")
        if kind == "content_block_start":
            if opened is not None or at != following:
                faults.append(f"block {at} is opened where {following} was due")
            opened, following = at, following + 1
        elif kind == "content_block_delta" and at != opened:
            faults.append(f"a delta of block {at} while {opened} is open")
        elif kind == "content_block_stop":
            if at != opened:
                faults.append(f"block {at} is closed while {opened} is open")
            opened = None
        elif kind in ("message_delta", "message_stop") and opened is not None:
            faults.append(f"block {opened} is never closed")
            opened = None
    return faults


def check_protocol(target: Target) -> list[CheckResult]:
    """Check a live target.

    Args:
        target: Of the protocol ``messages``.

    Raises:
        EvaluationError: It does not answer at all.
    """
    with Conversation(target) as conversation:
        text = conversation.ask(messages=[{"role": "user", "content": "Say hello."}])
        whole = conversation.ask(messages=[{"role": "user", "content": "Say hello."}], stream=False)
        calls = [
            conversation.ask(messages=_ASK, tools=[TOOL], tool_choice=_CHOICE, max_tokens=120)
            for _ in range(2)
        ]
        after = conversation.ask(messages=_with_result(calls[0]), tools=[TOOL])
        refused = conversation.ask(messages=[], stream=False)
    streams = [text, *calls, after]
    checks: list[tuple[str, Callable[[], tuple[bool | None, str]]]] = [
        ("answers", lambda: _answers(streams, whole)),
        ("event order", lambda: _order(streams)),
        ("usage", lambda: _usage(text, whole)),
        ("forced tool is called", lambda: _called(calls)),
        ("tool arguments are JSON", lambda: _arguments(calls)),
        ("tool ids are unique", lambda: _unique(calls)),
        ("a tool's result is taken", lambda: (after.status == 200, f"HTTP {after.status}")),
        ("no marks in the text", lambda: _clean(streams)),
        ("thinking comes first and ends", lambda: _thinking(streams)),
        ("errors have their shape", lambda: _error(refused)),
    ]
    return [_result(name, check) for name, check in checks]


def _result(name: str, check: Callable[[], tuple[bool | None, str]]) -> CheckResult:
    passed, detail = check()
    return CheckResult(level="L0", name=name, passed=passed, detail=detail)


def _answers(streams: list[ApiReply], whole: ApiReply) -> tuple[bool | None, str]:
    bad = [one.status for one in (*streams, whole) if one.status != 200]
    return not bad, f"HTTP {bad}" if bad else f"{len(streams) + 1} answers"


def _order(streams: list[ApiReply]) -> tuple[bool | None, str]:
    faults = [fault for one in streams if one.status == 200 for fault in grammar_faults(one.events)]
    return not faults, "; ".join(faults[:3])


def _usage(text: ApiReply, whole: ApiReply) -> tuple[bool | None, str]:
    out = (text.message.get("usage") or {}).get("output_tokens")
    same = text.input_tokens == whole.input_tokens > 0
    detail = f"prompt {text.input_tokens} streamed, {whole.input_tokens} whole; {out} generated"
    return bool(same and out), detail


def _called(calls: list[ApiReply]) -> tuple[bool | None, str]:
    found = [
        one.stop_reason == "tool_use" and [call["name"] for call in one.calls] == [TOOL["name"]]
        for one in calls
    ]
    stops = ", ".join(f"{one.stop_reason} with {len(one.calls)} calls" for one in calls)
    return all(found), stops


def _arguments(calls: list[ApiReply]) -> tuple[bool | None, str]:
    texts = [text for one in calls for text in one.arguments.values()]
    for text in texts:
        try:
            if "city" not in json.loads(text):
                return False, f"no city in {text[:80]!r}"
        except (ValueError, TypeError):
            return False, f"not JSON: {text[:80]!r}"
    return (True, f"{len(texts)} calls") if texts else (False, "no call")


def _unique(calls: list[ApiReply]) -> tuple[bool | None, str]:
    ids = [str(call.get("id") or "") for one in calls for call in one.calls]
    if not ids:
        return False, "no call"
    return len(set(ids)) == len(ids) and all(ids), f"{len(ids)} calls"


def _clean(streams: list[ApiReply]) -> tuple[bool | None, str]:
    marks = [mark for one in streams if (mark := leaked(one.text))]
    return not marks, ", ".join(marks)


def _thinking(streams: list[ApiReply]) -> tuple[bool | None, str]:
    thoughts = [
        at
        for one in streams
        for at, block in enumerate(one.blocks)
        if block.get("type") == "thinking" and block.get("thinking")
    ]
    if not thoughts:
        return True, "the model does not think"
    return set(thoughts) == {0}, f"{len(thoughts)} answers with thoughts"


def _error(refused: ApiReply) -> tuple[bool | None, str]:
    error = refused.message.get("error") or {}
    shaped = refused.message.get("type") == "error" and bool(error.get("message"))
    right = refused.status == 400 and error.get("type") == "invalid_request_error"
    return shaped and right, f"HTTP {refused.status} {error.get('type')}"


def _with_result(call: ApiReply) -> list[dict[str, Any]]:
    if not call.calls:
        return _ASK
    result = {"type": "tool_result", "tool_use_id": call.calls[0]["id"], "content": "Sunny, 24 C."}
    return [
        *_ASK,
        {"role": "assistant", "content": call.calls[:1]},
        {"role": "user", "content": [result]},
    ]
