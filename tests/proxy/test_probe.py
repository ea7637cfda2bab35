"""What is learned of an engine, through a real proxy in front of one that refuses things."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.proxy.probe import images_by_config, probe_profile
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.upstream import Upstream
from autosre_lab.scripted.chat_engine import ScriptedVllm, Turn
from tests.proxy.conftest import StartLab, ask

pytestmark = pytest.mark.anyio
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
TOOL = {"name": "Read", "input_schema": {"type": "object"}}


def no_two_users(body: Mapping[str, Any]) -> str:
    roles = ["system", *(one["role"] for one in body["messages"])]
    twice = any(a == b == "user" for a, b in itertools.pairwise(roles))
    return "Conversation roles must alternate" if twice else ""


def nine_letters(body: Mapping[str, Any]) -> str:
    ids = [one.get("tool_call_id") for one in body["messages"] if one["role"] == "tool"]
    long = [id_ for id_ in ids if len(str(id_)) != 9]
    return "Tool call IDs should be alphanumeric strings with length 9!" if long else ""


def no_tool_role(body: Mapping[str, Any]) -> str:
    return "no such role" if "tool" in [one["role"] for one in body["messages"]] else ""


def no_system(body: Mapping[str, Any]) -> str:
    return "no such role" if "system" in [one["role"] for one in body["messages"]] else ""


def no_user_after_results(body: Mapping[str, Any]) -> str:
    roles = [one["role"] for one in body["messages"]]
    found = ("tool", "user") in itertools.pairwise(roles)
    return "after tool comes assistant" if found else ""


def everything(body: Mapping[str, Any]) -> str:
    return "broken template"


async def learned(refuses: Callable[[Mapping[str, Any]], str], status: int = 400) -> EngineProfile:
    async with ScriptedVllm([Turn(text="x")], refuses=refuses, refuses_with=status) as engine:
        upstream = Upstream(engine.url, connect_timeout_s=5)
        await upstream.open()
        try:
            return await probe_profile(upstream)
        finally:
            await upstream.close()


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize(
    ("refuses", "expected"),
    [
        (lambda _: "", {}),
        (no_two_users, {"alternating": True, "mid_system": "reminder"}),
        (nine_letters, {"short_call_ids": True}),
        (no_tool_role, {"tool_role": False}),
        (no_system, {"system_role": False, "mid_system": "reminder"}),
        (no_user_after_results, {"user_after_results": False}),
        (everything, {"mid_system": "reminder"}),
    ],
)
async def test_what_a_template_insists_on_is_found_out(
    refuses: Callable[[Mapping[str, Any]], str], expected: dict[str, Any], status: int
) -> None:
    profile = await learned(refuses, status)
    usual = EngineProfile(model="m", max_model_len=1, mid_system="system")
    names = ("alternating", "short_call_ids", "tool_role", "system_role", "user_after_results")
    for name in (*names, "mid_system"):
        assert getattr(profile, name) == expected.get(name, getattr(usual, name)), name


async def test_an_engine_without_a_tool_parser_still_answers_and_is_asked_once(
    start_lab: StartLab,
) -> None:
    def refuses(body: Mapping[str, Any]) -> str:
        told = "requires --enable-auto-tool-choice and --tool-call-parser to be set"
        return f'"auto" tool choice {told}' if body.get("tools") and "stream" in body else ""

    lab = await start_lab(Turn(text="plain"), refuses=refuses)
    for _ in range(3):
        status, body, _ = await lab.post(ask(tools=[TOOL]))
        assert (status, body["content"][0]["text"]) == (200, "plain")
    events = await lab.events(ask(tools=[TOOL]))
    assert events[-1]["type"] == "message_stop"
    offered = ["tools" in chat.body for chat in lab.upstream.chats]
    assert offered == [True, False, False, False, False]
    assert "--tool-call-parser" in json.dumps(lab.upstream.chats[-1].body["messages"])


async def test_whether_the_model_sees_images_is_asked_only_when_one_is_shown(
    start_lab: StartLab,
) -> None:
    lab = await start_lab()
    await lab.post(ask())
    assert not [one for one in lab.upstream.requests if b"image_url" in one.raw]
    shown = [{"type": "image", "source": PNG}, {"type": "text", "text": "what is it?"}]
    for _ in range(2):
        await lab.post(ask(messages=[{"role": "user", "content": shown}]))
    asked = [one for one in lab.upstream.requests if b"image_url" in one.raw]
    assert [one.path for one in asked].count("/tokenize") == 1
    assert "image_url" in json.dumps(lab.upstream.chats[-1].body)


def test_a_configuration_says_whether_a_model_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = tmp_path / "hub" / "models--org--name" / "snapshots" / "abc"
    hub.mkdir(parents=True)
    (hub / "config.json").write_text(json.dumps({"vision_config": {}}))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert images_by_config("org/name") is True
    assert images_by_config("org/other") is None
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert images_by_config(str(tmp_path)) is False
    (tmp_path / "config.json").write_text("[")
    assert images_by_config(str(tmp_path)) is None
    assert images_by_config("/no/such/folder") is None


@pytest.mark.parametrize(
    ("ends", "thinks", "expected"),
    [
        ({"always": "<think>"}, None, [("thinking", "plan"), ("text", "answer")]),
        ({"always": "<think>\n"}, {"type": "adaptive"}, [("thinking", "plan"), ("text", "answer")]),
        ({}, None, [("text", "plan</think>answer")]),
    ],
)
async def test_an_answer_that_begins_inside_of_thoughts_is_split(
    start_lab: StartLab,
    monkeypatch: pytest.MonkeyPatch,
    ends: dict[str, str],
    thinks: Any,
    expected: list[tuple[str, str]],
) -> None:
    tokenize = Upstream.tokenize

    async def with_words(self: Upstream, body: dict[str, Any]) -> dict[str, Any]:
        words = ["<|assistant|>", ends.get("always", "")]
        return {**await tokenize(self, body), "token_strs": words}

    # The stand-in renders no text; everything else is real.
    monkeypatch.setattr(Upstream, "tokenize", with_words)
    lab = await start_lab(Turn(text="plan</think>answer"))
    _, body, _ = await lab.post(ask(thinking=thinks))
    found = [(block["type"], block[block["type"]].strip()) for block in body["content"]]
    assert found == expected
