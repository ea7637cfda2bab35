"""Through fetches, additions and removals each prompt begins with the whole prompt before it.

On templates of the vendors' constructions, with what the proxy finds out about each of them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from autosre_lab.proxy import template_questions as ask
from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import decode_request
from autosre_lab.proxy.profile import EngineProfile
from tests.proxy.chat_templates import TEMPLATES, TemplateEngine, rendered
from tests.proxy.recorded_sessions import recorded, session_of_changes

pytestmark = pytest.mark.anyio

SESSIONS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "tool_search": lambda: recorded("tool_search"),
    "tool_addition": lambda: recorded("tool_addition"),
    "changes": session_of_changes,
    "changes, thinking": lambda: session_of_changes(thinking=True),
}


async def learned(template: str) -> EngineProfile:
    """What the probe learns of a template, as far as the translation needs it."""
    engine: Any = TemplateEngine(template)
    render = ask.TemplateRenderer(engine, "m")
    mid_system = await ask.renders_mid_system(render)
    insists = await ask.insists_on(render)
    return EngineProfile(
        model="m",
        max_model_len=99_999,
        mid_system="system" if mid_system and not insists.alternating else "reminder",
        deferred_tools=await ask.deferred_tools(render),
        **insists._asdict(),
    )


def prompts(template: str, engine: EngineProfile, session: list[dict[str, Any]]) -> list[str]:
    """The rendered prompts, without what opens the answer."""
    texts = []
    for body in session:
        request = decode_request(json.dumps(body).encode())
        chat = json.loads(msgspec.json.encode(to_chat_request(request, engine, max_tokens=9)))
        texts.append(rendered(template, {**chat, "add_generation_prompt": False}))
    return texts


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("known_to_the_parser", [True, False])
async def test_each_prompt_begins_with_the_one_before(
    template: str,
    session: str,
    known_to_the_parser: bool,
) -> None:
    engine = await learned(template)
    if not known_to_the_parser:
        engine = msgspec.structs.replace(engine, deferred_tools="left_out")
    texts = prompts(template, engine, SESSIONS[session]())
    for number, (before, after) in enumerate(itertools.pairwise(texts)):
        assert after.startswith(before), (number, after[: len(before)], before)
        assert len(after) > len(before)
    assert all("DeferredToolPlaceholder" not in text for text in texts)
    # A fetched tool is told after the first prompt, and once for each fetch.
    told = '"CronList"' if session != "tool_addition" else '"mcp__probe__tool_c"'
    head = texts[-1][: len(texts[0])]
    assert told not in head
    assert told in texts[-1][len(texts[0]) :]


@pytest.mark.parametrize(
    ("template", "way"),
    [
        ("results_as_user", "argument"),
        ("calls_as_tags", "argument"),
        ("tools_in_first_question", "argument"),
        ("knows_references", "template"),
        ("{% for message in messages %}{{ message.content }}{% endfor %}", "argument"),
        ("<|start|>{{ tools | tojson }}<|start|>assistant", "left_out"),
        ("{{ raise_exception('no') }}", "left_out"),
    ],
)
async def test_how_a_template_leaves_a_tool_out_is_found_out(template: str, way: str) -> None:
    assert (await learned(template)).deferred_tools == way


async def test_an_engine_that_ignores_the_argument_is_found_out() -> None:
    class Deaf(TemplateEngine):
        async def tokenize(self, body: Any) -> dict[str, Any]:
            return await super().tokenize({**body, "chat_template_kwargs": {}})

    engine: Any = Deaf("results_as_user")
    assert await ask.deferred_tools(ask.TemplateRenderer(engine, "m")) == "left_out"


def test_the_whole_prompt_was_lost_where_tools_stood_in_the_list() -> None:
    """What the other tests would find without this: the session does change its list."""
    loaded = [
        {**body, "tools": [{**tool, "defer_loading": None} for tool in body["tools"]]}
        for body in session_of_changes()
    ]
    engine = EngineProfile(model="m", max_model_len=99_999, mid_system="system")
    texts = prompts("results_as_user", engine, loaded)
    kept = [b.startswith(a) for a, b in itertools.pairwise(texts)]
    assert kept == [False, True, False, True, False, True, True, True]
