"""What the request log says of prompts that begin as earlier ones did."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.bench.recorded import records_in_request_log
from autosre_lab.proxy import prefix_memory
from autosre_lab.proxy.counting import encode_prompt
from autosre_lab.proxy.prefix_memory import PrefixMemory, common_prefix
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.scripted.chat_engine import Turn
from tests.proxy.conftest import StartLab, ask
from tests.proxy.waiting import until

SECRET = "the colour of the vault is blue"
TOOLS = [
    {"name": name, "description": f"{name} it", "input_schema": {"type": "object"}}
    for name in ("read", "write")
]


async def logged(start_lab: StartLab, *bodies: dict[str, Any]) -> list[RequestRecord]:
    """Send requests of one session one after the other, and return their lines."""
    lab = await start_lab(Turn(text="Yes."))
    for body in bodies:
        status, *_ = await lab.post(body, x_claude_code_session_id="s-1")
        assert status == 200
    await until(lambda: len(records_in_request_log(lab.log_path)) == len(bodies), "the log")
    assert SECRET not in lab.log_path.read_text()
    return records_in_request_log(lab.log_path)


def grown(*texts: str, **more: Any) -> dict[str, Any]:
    messages = [
        {"role": "assistant" if at % 2 else "user", "content": text}
        for at, text in enumerate(texts)
    ]
    return ask(**({"messages": messages, "system": SECRET, "tools": TOOLS} | more))


@pytest.mark.anyio
async def test_a_conversation_that_grows_begins_with_all_of_its_last_prompt(
    start_lab: StartLab,
) -> None:
    first, second = await logged(start_lab, grown("Hi"), grown("Hi", "Yes.", "And now?"))
    assert (first.same_as, first.same_bytes) == ("", 0)
    assert second.same_as == first.request_id
    assert second.same_bytes == first.prompt_bytes < second.prompt_bytes
    assert first.system_digest == second.system_digest != ""
    assert first.tools_digest == second.tools_digest != ""


@pytest.mark.anyio
async def test_tools_in_another_order_are_told_from_other_tools(start_lab: StartLab) -> None:
    first, reordered, other = await logged(
        start_lab,
        grown("Hi"),
        grown("Hi", tools=TOOLS[::-1]),
        grown("Hi", tools=TOOLS[:1]),
    )
    assert reordered.tools_digest != first.tools_digest
    assert reordered.toolset_digest == first.toolset_digest != other.toolset_digest
    assert reordered.same_bytes < first.prompt_bytes


@pytest.mark.anyio
async def test_another_system_prompt_is_seen_by_its_digest(start_lab: StartLab) -> None:
    first, second = await logged(start_lab, grown("Hi"), grown("Hi", system="Today is Monday."))
    assert first.system_digest != second.system_digest
    assert 0 < second.same_bytes < first.prompt_bytes


@pytest.mark.anyio
async def test_who_names_no_session_is_not_followed(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="Yes."))
    await lab.post(grown("Hi"))
    await until(lambda: len(records_in_request_log(lab.log_path)) == 1, "the log")
    (record,) = records_in_request_log(lab.log_path)
    assert (record.prompt_bytes, record.system_digest, record.same_as) == (0, "", "")


def record(name: str, session: str) -> RequestRecord:
    return RequestRecord(time="t", request_id=name, session=session, kind="main")


def test_a_new_session_is_compared_with_others() -> None:
    memory = PrefixMemory()
    chat = {"messages": [{"role": "system", "content": "x" * 500}, {"role": "user"}], "tools": []}
    prompt = encode_prompt(chat)
    memory.learn(record("r1", "a"), prompt)
    other = record("r2", "b")
    memory.note(other, prompt, chat)
    assert other.same_as == "r1"
    assert other.same_bytes == other.prompt_bytes


def test_no_more_than_its_share_of_memory_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_memory, "MAX_BYTES", 3000)
    memory = PrefixMemory()
    for name in ("a", "b", "c"):
        chat = {"messages": [{"role": "user", "content": name * 1200}]}
        memory.learn(record(name, name), encode_prompt(chat))
    oldest = record("again", "a")
    memory.note(oldest, encode_prompt(chat), chat)
    assert oldest.same_as == "c"
    assert len(memory._seen) == 2


@given(st.binary(max_size=20_000), st.binary(max_size=50), st.binary(max_size=50))
def test_a_common_prefix_ends_where_the_texts_differ(start: bytes, a: bytes, b: bytes) -> None:
    one, other = start + a, start + b
    at = common_prefix(one, other)
    assert at >= len(start)
    assert one[:at] == other[:at]
    assert at == min(len(one), len(other)) or one[at] != other[at]


def test_digests_are_digests() -> None:
    memory = PrefixMemory()
    chat = {"messages": [{"role": "system", "content": SECRET}]}
    one = record("r", "s")
    memory.note(one, encode_prompt(chat), chat)
    assert len(one.system_digest) == 12
    assert SECRET not in json.dumps(one.system_digest)
