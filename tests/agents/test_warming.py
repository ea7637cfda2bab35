"""What is computed while a program starts is what its session begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.agents.claude.trial import trial as claude_trial
from autosre_lab.agents.codex.trial import trial as codex_trial
from autosre_lab.agents.trial import STARTED_AS, AgentTrial, by_round, wait_until
from autosre_lab.agents.warming import warm
from autosre_lab.provision import provision_claude_code, provision_codex
from autosre_lab.scripted.chat_engine import Turn
from tests.agents.claude.facts import Facts, plan


def check(lab: AgentTrial, ask: Callable[[str], Any]) -> None:
    """Ask twice; before the second time have its beginning computed, as the launcher does."""
    lab.upstream.script = by_round(Turn(text="Hello."))
    assert ask("One question.").code == 0
    before = len(lab.chats)
    warm(lab.endpoint, STARTED_AS)
    wait_until(lambda: len(lab.chats) == before + 1, "the request ahead")
    wait_until(lambda: lab.upstream.running == 0, "its end")
    ahead = lab.chats[-1].body
    assert ask("Quite another one.").code == 0
    asked = next(one.body for one in lab.chats[before + 1 :] if one.body.get("tools"))
    assert asked["tools"] == ahead["tools"]
    leading = ahead["messages"][:-1]
    assert leading
    assert asked["messages"][: len(leading)] == leading
    assert "One question." not in str(leading)


@pytest.mark.claude
def test_claude_codes_first_prompt_begins_as_was_computed(tmp_path: Path) -> None:
    with claude_trial(provision_claude_code(), tmp_path) as lab:
        check(lab, lambda question: lab.ask(question, profile="full"))


@pytest.mark.codex
def test_codexs_first_prompt_begins_as_was_computed(tmp_path: Path) -> None:
    with codex_trial(provision_codex(), tmp_path) as lab:
        check(lab, lambda question: lab.exec(question, profile="full"))


def test_a_proxy_that_is_gone_costs_the_session_nothing() -> None:
    warm(replace(Facts(), proxy_url="http://127.0.0.1:1"), STARTED_AS)


def test_a_session_says_how_it_was_started() -> None:
    launch = plan("-p", "hi", started_as="claude-1")
    assert launch.added["ANTHROPIC_CUSTOM_HEADERS"] == "x-autosre-launch: claude-1"
    assert "ANTHROPIC_CUSTOM_HEADERS" not in plan("-p", "hi").added
