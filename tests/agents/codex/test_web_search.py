"""Codex with its web search on, which our proxy answers: each supported version."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from autosre_lab.agents.codex.trial import CodexTrial
from autosre_lab.agents.trial import by_round, call
from autosre_lab.scripted.chat_engine import Turn
from tests.support.search_source import PAGES, LocalSearch, local_search

pytestmark = pytest.mark.codex

ON = ("-c", 'web_search="live"')


@pytest.fixture
def source() -> Iterator[LocalSearch]:
    with local_search() as one:
        yield one


def test_a_search_is_shown_and_the_session_goes_on_from_it(
    make_lab: Callable[..., CodexTrial], source: LocalSearch
) -> None:
    lab = make_lab(search=source)
    lab.upstream.script = by_round(
        Turn(tool_calls=[call("web_search", query="kestrels")]),
        Turn(text="I look further.", tool_calls=[call("exec_command", cmd="echo hi")]),
        Turn(text="They hover [1]."),
    )
    ran = lab.exec(*ON, "Search.")
    assert (ran.code, ran.text) == (0, "They hover [1]."), ran.err
    (search,) = ran.items("web_search")
    assert search["query"] == "kestrels"
    assert source.queries == ["kestrels"]
    first, second, third = (chat.body for chat in lab.chats)
    assert PAGES[0][1] in second["messages"][-1]["content"]
    # The prefix cache is hit behind the tool's call, too: Codex hands back the search's item alone.
    for shorter, longer in ((first, second), (second, third)):
        before = shorter["messages"]
        assert json.dumps(longer["messages"][: len(before)]) == json.dumps(before)
