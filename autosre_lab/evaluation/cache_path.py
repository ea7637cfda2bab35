"""L1: is an answer still right when its prompt comes from the prefix cache?

On hybrid models with speculative decoding, vLLM 0.24.0 corrupts the recurrent state on cache hits:
malformed tool calls, stop reason "stop", no error (NVIDIA/dgx-spark-playbooks#89, same model, same
vLLM, same box). Speed measured on such an engine is worth nothing.

Each prompt is sent three times. The first time nothing of it can be in the cache, since it begins
with words that were never sent; then twice out of the cache, which the token counts must prove.

What counts as corruption: what was right cold is wrong warm, both times. Equal bytes are not asked
for: a prompt computed in one piece and one continued from the cache go through kernels of other
shapes, and in BF16 their greedy answers may differ from some token on. How many were equal is
told. A cold answer that is wrong says something of the model, nothing of the cache.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from autosre_lab.bench.synthetic.text import prose
from autosre_lab.bench.target import Target
from autosre_lab.evaluation.check import CheckResult
from autosre_lab.evaluation.conversation import ApiReply, Conversation
from autosre_lab.evaluation.protocol import TOOL, leaked

__all__ = ["check_cache_path", "malformed_call", "needle_prompt"]

HIT_SHARE = 0.5
"""A warm prompt counts as hit if at least this share of it came from the cache."""

_CITIES = ("Rome", "Oslo", "Cairo", "Lima")
_WORDS = ("walnut", "copper", "lantern", "harbour", "violet", "saddle")


class _Tried(msgspec.Struct, frozen=True):
    """One prompt, cold and twice warm."""

    cold: ApiReply
    warm: tuple[ApiReply, ApiReply]

    @property
    def hit(self) -> bool:
        """Whether both warm answers came from the cache, and the cold one did not."""
        share = [_share(one) for one in (self.cold, *self.warm)]
        known = [one for one in share if one is not None]
        return len(known) == 3 and known[0] < HIT_SHARE <= min(known[1:])

    @property
    def equal(self) -> bool:
        """Whether all three said the same."""
        return _said(self.cold) == _said(self.warm[0]) == _said(self.warm[1])


def check_cache_path(
    target: Target, *, turns: int = 3, depths: Sequence[int] = (600,), filler: int = 300
) -> list[CheckResult]:
    """Check a live target.

    Args:
        target: Of the protocol ``messages``.
        turns: Of the tool conversation.
        depths: Tokens of context around each needle; what the window cannot hold is left out by
            the caller.
        filler: Tokens of the tool conversation's system prompt.

    Raises:
        EvaluationError: It does not answer at all.
    """
    with Conversation(target) as conversation:
        calls = [
            _tried(conversation, partial(_call_prompt, turn=number, filler=filler))
            for number in range(turns)
        ]
        needles = [
            (word, _tried(conversation, partial(needle_prompt, depth=depth, word=word)))
            for depth, word in zip(depths, _WORDS, strict=False)
        ]
        grown = _grown(conversation, turns, filler)
    tried = [*calls, *(one for _, one in needles)]
    return [
        _hits(tried),
        _calls_survive(calls),
        _grown_calls(grown, calls),
        _needles_survive(needles),
        _clean(tried),
    ]


def malformed_call(answer: ApiReply) -> str | None:
    """Return what is wrong with an answer that had to be a tool call; None if nothing is.

    The signature of the corruption: no call, or arguments that do not parse, where the stream
    ended well and no error was told.
    """
    if answer.status != 200:
        return f"HTTP {answer.status}"
    if not answer.calls:
        return f"no call, stop reason {answer.stop_reason!r}"
    for text in answer.arguments.values():
        try:
            arguments = json.loads(text)
        except ValueError:
            return f"arguments that are not JSON, stop reason {answer.stop_reason!r}"
        if not isinstance(arguments, dict) or not isinstance(arguments.get("city"), str):
            return f"arguments without a city: {text[:60]!r}"
    return None


def needle_prompt(salt: str, depth: int, word: str) -> dict[str, Any]:
    """Return a request whose answer is one word from the middle of a long text."""
    rng = random.Random(f"needle {depth}")  # noqa: S311 - a text, not a secret
    half = max(8, depth // 2)
    text = (
        f"{prose(half, rng)}\n\nRemember: the code word is {word}.\n\n{prose(half, rng)}\n\n"
        "What is the code word? Answer with the code word only."
    )
    return {
        "system": f"Session {salt}. You answer in one word.",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 12,
    }


def _tried(conversation: Conversation, prompt: Callable[[str], dict[str, Any]]) -> _Tried:
    request = prompt(secrets.token_hex(6))
    cold = conversation.ask(**request)
    return _Tried(cold, (conversation.ask(**request), conversation.ask(**request)))


def _grown(conversation: Conversation, turns: int, filler: int) -> list[ApiReply]:
    """One conversation turn after turn, each prompt continuing what the cache has of the last."""
    salt = secrets.token_hex(6)
    return [conversation.ask(**_call_prompt(salt, number, filler)) for number in range(turns)]


def _call_prompt(salt: str, turn: int, filler: int) -> dict[str, Any]:
    rng = random.Random("cache path")  # noqa: S311 - a text, not a secret
    messages: list[dict[str, Any]] = []
    for number in range(turn + 1):
        city = _CITIES[number % len(_CITIES)]
        messages.append({"role": "user", "content": f"What is the weather in {city}?"})
        if number < turn:
            call = {"type": "tool_use", "id": f"toolu_{number}", "name": TOOL["name"]}
            result = {"type": "tool_result", "tool_use_id": f"toolu_{number}"}
            messages += [
                {"role": "assistant", "content": [{**call, "input": {"city": city}}]},
                {"role": "user", "content": [{**result, "content": f"Sunny, {20 + number} C."}]},
                {"role": "assistant", "content": f"It is sunny in {city}."},
            ]
    return {
        "system": f"Session {salt}. You use tools.\n{prose(filler, rng)}",
        "messages": messages,
        "tools": [TOOL],
        "tool_choice": {"type": "tool", "name": TOOL["name"]},
        "max_tokens": 100,
    }


def _hits(tried: Sequence[_Tried]) -> CheckResult:
    shares = [[_share(one) for one in (each.cold, *each.warm)] for each in tried]
    equal = sum(each.equal for each in tried)
    told = ", ".join("/".join("?" if s is None else f"{s:.0%}" for s in three) for three in shares)
    return CheckResult(
        level="L1",
        name="the cache was hit",
        # Nothing can be said of a path that was not taken.
        passed=True if all(each.hit for each in tried) else None,
        detail=f"cached cold/warm/warm: {told}; {equal} of {len(tried)} prompts answered equally",
    )


def _calls_survive(calls: Sequence[_Tried]) -> CheckResult:
    faults = []
    judged = 0
    for number, each in enumerate(calls):
        if malformed_call(each.cold) is not None:
            continue
        judged += 1
        wrong = [fault for one in each.warm if (fault := malformed_call(one))]
        if len(wrong) == len(each.warm):
            faults.append(f"turn {number + 1}: right cold, warm {wrong[0]}")
    hit = all(each.hit for each in calls)
    passed = False if faults else True if judged and hit else None
    detail = "; ".join(faults) or f"{judged} of {len(calls)} calls were right cold and judged"
    return CheckResult(
        level="L1", name="tool calls survive the cache", passed=passed, detail=detail
    )


def _grown_calls(grown: Sequence[ApiReply], calls: Sequence[_Tried]) -> CheckResult:
    faults = [
        f"turn {number + 1}: {fault}"
        for number, (answer, each) in enumerate(zip(grown, calls, strict=True))
        if malformed_call(each.cold) is None and (fault := malformed_call(answer)) is not None
    ]
    hit = all((_share(one) or 0) > 0 for one in grown[1:]) and len(grown) > 1
    passed = False if len(faults) > 1 else True if not faults and hit else None
    return CheckResult(
        level="L1",
        name="a growing conversation stays right",
        passed=passed,
        detail="; ".join(faults) or f"{len(grown)} turns",
    )


def _needles_survive(needles: Sequence[tuple[str, _Tried]]) -> CheckResult:
    found, lost = 0, []
    for word, each in needles:
        if word not in each.cold.text.lower():
            continue
        found += 1
        if not any(word in one.text.lower() for one in each.warm):
            lost.append(f"{word!r} at {each.cold.input_tokens} tokens")
    detail = (
        f"found cold and lost warm: {', '.join(lost)}"
        if lost
        else f"{found} of {len(needles)} found cold, and warm too"
    )
    hit = all(each.hit for _, each in needles)
    # A model that finds nothing cold has nothing to lose: no fault of the cache, and no proof.
    passed = False if lost else True if hit else None
    return CheckResult(level="L1", name="needles survive the cache", passed=passed, detail=detail)


def _clean(tried: Sequence[_Tried]) -> CheckResult:
    marks = [
        mark
        for each in tried
        if leaked(each.cold.text) is None
        for one in each.warm
        if (mark := leaked(one.text))
    ]
    return CheckResult(
        level="L1",
        name="no marks in the text out of the cache",
        passed=not marks,
        detail=", ".join(marks),
    )


def _share(answer: ApiReply) -> float | None:
    if answer.cached_tokens is None or not answer.input_tokens:
        return None
    return answer.cached_tokens / answer.input_tokens


def _said(answer: ApiReply) -> tuple[str, tuple[str, ...]]:
    return answer.text, tuple(
        json.dumps(call.get("input"), sort_keys=True) for call in answer.calls
    )
