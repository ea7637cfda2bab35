from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from autosre_lab.proxy.findings import EngineFinding, engine_findings
from autosre_lab.proxy.refusals import Refused
from autosre_lab.scripted.chat_engine import ScriptedVllm, Turn

pytestmark = pytest.mark.anyio
HELLO = Turn(text="Hello", cached_tokens=1)


def no_parser(body: Mapping[str, Any]) -> str:
    told = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    return told if body.get("tools") else ""


async def found(**engine: Any) -> dict[str, EngineFinding]:
    async with ScriptedVllm([HELLO], **engine) as upstream:
        findings = await asyncio.to_thread(engine_findings, upstream.url)
    return {one.name: one for one in findings}


async def test_a_missing_tool_parser_is_named_with_its_flags() -> None:
    findings = await found(refuses=no_parser)
    assert not findings["tool calls"].ok
    assert "--tool-call-parser" in findings["tool calls"].flag
    assert "left out" in findings["tool calls"].found


async def test_an_engine_that_does_everything_misses_nothing_of_tools() -> None:
    findings = await found()
    assert findings["tool calls"].ok
    assert findings["system messages in the middle"].found == "rendered in place"
    assert findings["ids of calls"].found == "of any form"


async def test_what_the_template_refuses_is_told_with_what_is_done_about_it() -> None:
    findings = await found(rejects_mid_system=True)
    assert findings["system messages in the middle"].found == "written as reminders"


async def test_an_engine_that_does_not_answer_is_told_as_such() -> None:
    with pytest.raises(Refused, match="does not answer"):
        await asyncio.to_thread(engine_findings, "http://127.0.0.1:9")
