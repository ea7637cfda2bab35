"""Each turn's use of the prefix cache, and the cause of every miss."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.bench.recorded import CAUSES, cache_profile, missed_totals, profile_rows
from autosre_lab.proxy.request_log import RequestRecord

BLOCK = 16


def record(number: int, tokens: int, cached: int = 0, **more: Any) -> RequestRecord:
    """A request at second `number` of a session that grows, unless told otherwise."""
    fields: dict[str, Any] = {
        "session": "s",
        "kind": "main",
        "status": 200,
        "messages": 2 * number + 1,
        "ttft_ms": 100.0,
        "total_ms": 500.0,
        "prompt_bytes": 4 * tokens,
        "same_as": f"r{number - 1}" if number else "",
        "same_bytes": 4 * 1000 if number else 0,
        "system_digest": "sys",
        "tools_digest": "tools",
        "toolset_digest": "set",
    }
    return RequestRecord(
        time=f"2026-11-25T03:00:{number:02d}.000+00:00",
        request_id=f"r{number}",
        input_tokens=tokens - cached,
        cached_tokens=cached,
        **(fields | more),
    )


def second(cached: int, **more: Any) -> dict[str, int]:
    """What the second turn missed, after a first one of 1,000 tokens."""
    restarts = more.pop("restarts", ())
    block = more.pop("block", BLOCK)
    records = [record(0, 1000), record(1, 1200, cached, **more), record(2, 9000, 1)]
    return cache_profile(records, block_tokens=block, restarts_s=restarts)[1].missed


def test_nothing_is_expected_of_a_first_turn() -> None:
    (turn,) = cache_profile([record(0, 1000)])
    assert turn.missed == {"first turn": 1000}
    assert turn.cause == "first turn"
    assert turn.expected_tokens == 0


def test_a_growing_conversation_misses_its_new_text_and_the_rest_of_a_block() -> None:
    assert second(992) == {"new text": 200, "block rounding": 8}


def test_blocks_of_a_hybrid_model_cost_up_to_a_whole_one() -> None:
    assert second(528, block=528) == {"new text": 200, "block rounding": 472}


def test_a_prompt_below_one_block_is_never_hit() -> None:
    assert second(0, block=1600) == {"new text": 200, "block rounding": 1000}


def test_an_answer_out_of_the_cache_leaves_less_to_compute() -> None:
    assert second(1100) == {"new text": 100}


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ({"tools_digest": "other"}, "tools reordered"),
        ({"tools_digest": "other", "toolset_digest": "too"}, "tools changed"),
        ({"system_digest": "other"}, "system prompt changed"),
        ({}, "history changed"),
        ({"messages": 0}, "compaction"),
    ],
)
def test_a_prompt_that_begins_otherwise_names_what_changed(
    more: dict[str, Any], cause: str
) -> None:
    # A quarter of 1,200 tokens is the same, and of that the engine had 17 blocks.
    missed = second(272, same_bytes=1200, **more)
    assert missed == {"new text": 200, cause: 728}


def test_what_comes_after_a_compaction_is_its_doing() -> None:
    records = [
        record(0, 5000),
        record(1, 5100, 4992, same_bytes=20_000, kind="compaction"),
        record(2, 1500, 496, same_bytes=2000, messages=2),
    ]
    turn = cache_profile(records, block_tokens=BLOCK)[2]
    assert turn.missed == {"compaction": 1004}
    assert turn.cause == "compaction"


def test_an_engine_that_was_restarted_has_nothing() -> None:
    start_s = cache_profile([record(0, 1000)])[0].start_s
    missed = second(0, restarts=[start_s + 0.6])
    assert missed == {"new text": 200, "block rounding": 8, "engine restarted": 992}


def test_what_was_computed_and_is_gone_was_evicted() -> None:
    assert second(400)["evicted"] == 592


def test_a_prompt_sent_while_the_first_is_computed_came_too_early() -> None:
    records = [record(0, 1000, ttft_ms=5000.0), record(1, 1200), record(2, 1300, 1200)]
    assert cache_profile(records, block_tokens=BLOCK)[1].cause == "sent too early"


def test_an_engine_that_tells_nothing_is_not_called_forgetful() -> None:
    turns = cache_profile([record(0, 1000), record(1, 1200)], block_tokens=BLOCK)
    assert turns[1].missed["not reported"] == 992


def test_a_new_session_shares_the_beginning_of_another() -> None:
    other = record(1, 1200, 480, session="t", messages=1, same_bytes=2000)
    turn = cache_profile([record(0, 1000), other], session="t", block_tokens=BLOCK)[0]
    assert turn.turn == 1
    assert turn.shared_tokens == 480
    assert turn.missed == {"first turn": 720}
    assert turn.estimated


def test_a_reckoning_that_is_far_from_what_the_engine_told_is_a_loss() -> None:
    # 300 of 1,200 tokens are the same by their bytes, and the engine had 100.
    assert second(96, same_bytes=1200)["evicted"] == 192


def test_a_title_beside_the_conversation_does_not_break_it() -> None:
    records = [
        record(0, 1000),
        record(1, 300, kind="background", same_bytes=9),
        record(2, 1200, 992, same_as="r0"),
    ]
    turns = cache_profile(records, block_tokens=BLOCK)
    assert turns[2].missed == {"new text": 200, "block rounding": 8}
    assert turns[2].turn == 2


def test_subagents_are_conversations_of_their_own() -> None:
    records = [record(0, 1000), record(1, 400, agent="a", same_bytes=8), record(2, 500, agent="a")]
    turns = cache_profile(records)
    assert [(one.agent, one.turn) for one in turns] == [("", 1), ("a", 1), ("a", 2)]


def test_a_log_of_an_earlier_version_is_read_as_a_conversation_that_grows() -> None:
    old: dict[str, Any] = {"prompt_bytes": 0, "same_as": "", "same_bytes": 0}
    turns = cache_profile([record(0, 1000, **old), record(1, 1200, 992, **old)], block_tokens=16)
    assert turns[1].missed == {"new text": 200, "block rounding": 8}
    assert turns[1].estimated


def test_a_proxy_that_was_restarted_does_not_take_another_session_for_the_conversation() -> None:
    records = [
        record(0, 1000),
        record(1, 900, session="t", same_bytes=8),
        record(2, 1200, 992, same_as="r1", same_bytes=400),
    ]
    turn = cache_profile(records, session="s", block_tokens=BLOCK)[1]
    assert turn.missed == {"new text": 200, "block rounding": 8}


def test_requests_without_an_answer_or_a_session_are_left_out() -> None:
    records = [
        record(0, 1000, session=""),
        record(1, 1000, ttft_ms=None),
        record(2, 1000, kind="count_tokens"),
    ]
    assert cache_profile(records) == []


def test_rows_and_totals_say_the_same() -> None:
    profile = cache_profile([record(0, 1000), record(1, 1200, 992)], block_tokens=BLOCK)
    rows = profile_rows(profile)
    assert [row["computed"] for row in rows] == [1000, 208]
    assert rows[1]["cause"] == "block rounding"
    assert missed_totals(profile) == {
        "cached": 992,
        "first turn": 1000,
        "new text": 200,
        "block rounding": 8,
    }


REQUESTS: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        dict,
        tokens=st.integers(1, 5000),
        share=st.floats(0, 1),
        same=st.floats(0, 1.2),
        block=st.integers(1, 600),
        tools=st.sampled_from("ab"),
        system=st.sampled_from("ab"),
        like=st.sampled_from(["", "own", "r0"]),
        agent=st.sampled_from(["", "a"]),
    ),
    max_size=8,
)


@given(REQUESTS, st.integers(1, 2000))
def test_every_token_is_cached_or_has_a_cause(drawn: list[dict[str, Any]], block: int) -> None:
    records = [
        record(
            number,
            one["tokens"],
            int(one["tokens"] * one["share"]),
            same_as=f"r{number - 1}" if one["like"] == "own" else one["like"],
            same_bytes=int(4 * one["tokens"] * min(one["same"], 1)),
            tools_digest=one["tools"],
            system_digest=one["system"],
            agent=one["agent"],
        )
        for number, one in enumerate(drawn)
    ]
    for turn in cache_profile(records, block_tokens=block):
        assert turn.cached_tokens + sum(turn.missed.values()) == turn.input_tokens
        assert set(turn.missed) <= set(CAUSES)
        assert all(tokens > 0 for tokens in turn.missed.values())
