"""How a session begins is computed ahead, and delays nothing."""

from __future__ import annotations

import asyncio
import stat
from typing import Any

import pytest

from autosre_lab.scripted.chat_engine import Turn
from tests.proxy.conftest import Lab, StartLab, ask
from tests.proxy.waiting import until

pytestmark = pytest.mark.anyio

WEATHER = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
FIRST: dict[str, Any] = {"system": "Be brief.", "tools": [WEATHER]}


async def warm(lab: Lab, launch: str = "one") -> bool:
    status, told, _ = await lab.post(b"", f"/warm?launch={launch}")
    assert status == 200
    return bool(told["begun"])


async def test_a_sessions_beginning_is_computed_behind_everything_else(
    start_lab: StartLab,
) -> None:
    lab = await start_lab()
    assert not await warm(lab), "nothing is known of such a session"
    await lab.post(ask("A private question", **FIRST), x_autosre_launch="one")
    assert await warm(lab)
    await until(lambda: len(lab.upstream.chats) == 2, "the request ahead")
    asked, ahead = (chat.body for chat in lab.upstream.chats)
    assert ahead["tools"] == asked["tools"]
    assert ahead["messages"][:-1] == asked["messages"][:-1]
    assert ahead["messages"][-1] == {"role": "user", "content": "."}
    assert ahead["max_completion_tokens"] == 1
    assert ahead["priority"] > 10
    assert not await warm(lab, "another")


async def test_what_is_kept_is_private_and_holds_no_question(start_lab: StartLab) -> None:
    lab = await start_lab()
    await lab.post(ask("A private question", **FIRST), x_autosre_launch="one")
    file = lab.log_path.with_name("leading.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "get_weather" in file.read_text()
    assert "private question" not in file.read_text()
    # The next proxy knows it.
    later = await start_lab()
    assert await warm(later)


async def test_it_gives_way_to_whatever_is_asked(start_lab: StartLab) -> None:
    def script(body: dict[str, Any]) -> Turn:
        ahead = body["messages"][-1]["content"] == "."
        return Turn(text="Hello.", headers_delay_s=600.0 if ahead else 0.0)

    lab = await start_lab(script=script)
    await lab.post(ask(**FIRST), x_autosre_launch="one")
    assert await warm(lab)
    await until(lambda: lab.upstream.running == 1, "a request")
    status, _, _ = await lab.post(ask("Now", **FIRST))
    assert status == 200
    await until(lambda: lab.upstream.running == 0, "its end")
    assert lab.upstream.disconnects == 1


async def test_it_is_not_begun_while_something_runs(start_lab: StartLab) -> None:
    lab = await start_lab(Turn(text="Hello."), Turn(text="Hello.", headers_delay_s=600.0))
    await lab.post(ask(**FIRST), x_autosre_launch="one")
    slow = asyncio.create_task(lab.post(ask("Slowly", **FIRST)))
    await until(lambda: lab.upstream.running == 1, "a request")
    assert not await warm(lab)
    slow.cancel()
    await asyncio.wait([slow])
