"""What strict templates insist on, rendered by templates that refuse everything else."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from autosre_lab.proxy.profile import EngineProfile
from tests.proxy.requests_in import assistant, text, tool_result, tool_use, translate, user

ALTERNATING = """
{%- for m in messages -%}
{%- if (m.role == "user") != (loop.index0 % 2 == 0) or m.role not in ("user", "assistant") -%}
{{ raise_exception("Conversation roles must alternate user/assistant") }}{%- endif -%}
<{{ m.role }}>{{ m.content }}
{% endfor -%}
"""
# As the vendors of such templates count turns: calls and results are none.
STRICT_TOOLS = """
{%- if messages[0].role == "system" -%}{{ messages[0].content }}{%- set rest = messages[1:] -%}
{%- else -%}{%- set rest = messages -%}{%- endif -%}
{%- set ns = namespace(index=0) -%}
{%- for m in rest -%}
{%- if m.role == "user" or (m.role == "assistant" and not m.tool_calls) -%}
{%- if (m.role == "user") != (ns.index % 2 == 0) -%}
{{ raise_exception("After the optional system message, roles must alternate") }}{%- endif -%}
{%- set ns.index = ns.index + 1 -%}{%- endif -%}
{%- for c in m.tool_calls or [] -%}{%- if c.id | length != 9 -%}
{{ raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
{%- endif -%}<call {{ c.id }}>{% endfor -%}
{%- if m.role == "tool" -%}{%- if m.tool_call_id | length != 9 -%}
{{ raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
{%- endif -%}<result {{ m.tool_call_id }}>{%- endif -%}
<{{ m.role }}>{{ m.content }}
{% endfor -%}
"""
GEMMA = EngineProfile(
    model="m", max_model_len=99, alternating=True, tool_role=False, system_role=False
)
MISTRAL = EngineProfile(
    model="m", max_model_len=99, alternating=True, user_after_results=False, short_call_ids=True
)
SYSTEM = {"role": "system", "content": "a reminder"}
TURNS: list[list[Any]] = [
    [user(text("hello")), SYSTEM],
    [assistant(text("A"), tool_use("toolu_1"), tool_use("toolu_2"))],
    [user(tool_result("toolu_2", "TWO"), tool_result("toolu_1", "ONE"), text("go on")), SYSTEM],
    [assistant(text("B"))],
    [user(text("<system-reminder>r</system-reminder>"), text("and"))],
    [user(text("more"))],
    [assistant(text("C"), tool_use("toolu_3"))],
    [user(tool_result("toolu_3", "THREE"))],
]


def refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def render(template: str, messages: list[dict[str, Any]]) -> str:
    environment = ImmutableSandboxedEnvironment()
    environment.globals["raise_exception"] = refuse
    return environment.from_string(template).render(messages=messages)


@pytest.mark.parametrize(("template", "engine"), [(ALTERNATING, GEMMA), (STRICT_TOOLS, MISTRAL)])
def test_a_strict_template_takes_every_request_of_a_session_and_the_prefix_stays(
    template: str, engine: EngineProfile
) -> None:
    history: list[Any] = []
    before = ""
    for added in TURNS:
        history += added
        if history[-1]["role"] == "assistant":
            continue
        chat = translate(history, engine, system="top")["messages"]
        if template is ALTERNATING:
            assert chat[-1]["role"] == "user"
        rendered = render(template, chat)
        if added is not TURNS[5]:  # the one request that adds to a user's message, as none does
            assert rendered.startswith(before)
        before = rendered
    for word in ("top", "hello", "a reminder", "ONE", "TWO", "go on", "more", "THREE"):
        assert word in before
    assert before.index("ONE") < before.index("TWO")


@pytest.mark.parametrize(("template", "engine"), [(ALTERNATING, GEMMA), (STRICT_TOOLS, MISTRAL)])
def test_a_history_that_begins_with_an_answer_gets_a_beginning(
    template: str, engine: EngineProfile
) -> None:
    chat = translate([assistant(text("A")), assistant(text("B")), user(text("q"))], engine)
    assert "A\n\nB" in render(template, chat["messages"])


def test_short_ids_pair_calls_with_results_and_stay_the_same() -> None:
    first = translate([*TURNS[0], *TURNS[1], *TURNS[2]], MISTRAL)["messages"]
    calls = [call["id"] for call in first[1]["tool_calls"]]
    results = [message["tool_call_id"] for message in first if message["role"] == "tool"]
    assert calls == results
    assert len(set(calls)) == 2
    assert all(len(id_) == 9 and id_.isalnum() and id_.isascii() for id_ in calls)
    again = translate([*TURNS[0], *TURNS[1], *TURNS[2]], MISTRAL)["messages"]
    assert again == first
    kept = translate([user(text("a")), assistant(tool_use("abcdefgh1"))], MISTRAL)["messages"]
    assert kept[1]["tool_calls"][0]["id"] == "abcdefgh1"


def test_images_stay_images_where_users_messages_are_merged() -> None:
    engine = EngineProfile(model="m", max_model_len=99, alternating=True, images=True)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
    (message,) = translate([user(text("a"), image), SYSTEM], engine)["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url", "text"]
