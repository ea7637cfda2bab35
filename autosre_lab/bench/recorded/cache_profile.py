"""What the prefix cache could have of each turn, what it had, and why it missed the rest."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from autosre_lab.proxy.request_log import RequestRecord

__all__ = ["CAUSES", "TurnCache", "cache_profile", "missed_totals", "profile_rows"]

CAUSES: dict[str, str] = {
    "first turn": "nothing of this conversation had been computed before",
    "new text": "this turn's own: the question, a tool's result, the answer before it",
    "block rounding": "the cache keeps whole blocks only",
    "tools reordered": "the same tools in another order: everything after them is computed again",
    "tools changed": "a tool came, went, or changed: everything after them is computed again",
    "system prompt changed": "something in it changes between turns, a date for example",
    "compaction": "the history was replaced by its summary",
    "history changed": "an earlier message is no longer what it was",
    "engine restarted": "its cache was empty",
    "sent too early": "the prompt that it begins like was still being computed",
    "evicted": "it had been computed, and was no longer kept: other prompts needed the blocks",
    "not reported": "the engine told no cached tokens at all: prefix caching is off, or "
    "--enable-prompt-tokens-details is missing",
    "not told": "the log does not say what the prompt shared with earlier ones",
}
"""Why tokens were not taken from the cache."""


_NEAR = 0.1


class TurnCache(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a conversation, in tokens.

    Attributes:
        request_id: The request's.
        session: Claude Code's session.
        agent: The subagent's id; "" for the main conversation.
        kind: As in the request log.
        turn: From 1, in its conversation.
        start_s: When it arrived, seconds since the epoch.
        ttft_s: Until its first token; None where there was none.
        input_tokens: Its prompt.
        cached_tokens: Of it, out of the cache.
        shared_tokens: Of it, the same as in a prompt before.
        expected_tokens: Of it, what whole blocks of the shared part hold.
        estimated: The shared part ends within a prompt before, so that its tokens were reckoned
            from its bytes.
        missed: Tokens that were computed, by cause; together with the cached ones, the prompt.
    """

    request_id: str
    session: str
    agent: str
    kind: str
    turn: int
    start_s: float
    ttft_s: float | None
    input_tokens: int
    cached_tokens: int
    shared_tokens: int
    expected_tokens: int
    estimated: bool
    missed: dict[str, int]

    @property
    def cause(self) -> str:
        """Why the most tokens that an earlier prompt had were missed; "" if none were.

        Where there were none to miss it is ``first turn``.
        """
        avoidable = {
            cause: tokens
            for cause, tokens in self.missed.items()
            if cause not in ("new text", "first turn") and tokens
        }
        if avoidable:
            return max(avoidable, key=lambda cause: avoidable[cause])
        return "first turn" if "first turn" in self.missed else ""


def cache_profile(
    records: Sequence[RequestRecord],
    *,
    session: str | None = None,
    block_tokens: int = 16,
    restarts_s: Sequence[float] = (),
) -> list[TurnCache]:
    """Explain each turn's use of the prefix cache.

    What a turn can have is told by the prompt that it begins like: as many tokens as both share,
    in whole blocks, and never its very last token, which has to be computed.

    Args:
        records: The request log's, in any order; other sessions' too, since prompts are shared.
        session: Only this one's turns; all by default.
        block_tokens: Tokens of a block of the cache; on hybrid models a thousand and more.
        restarts_s: When the engine was started, seconds since the epoch.

    Returns:
        One entry a request that has a session and got an answer, in order of arrival.
    """
    served = sorted(
        (one for one in records if one.session and one.input_tokens + one.cached_tokens > 0),
        key=_start_s,
    )
    served = [one for one in served if one.kind != "count_tokens" and one.ttft_ms is not None]
    known = {one.request_id: one for one in served}
    silent = not any(one.cached_tokens for one in served)
    turns: dict[str, list[RequestRecord]] = {}
    found = []
    for record in served:
        before = turns.setdefault(_conversation(record), [])
        if session in (None, record.session):
            look = _Look(record, before, known, block_tokens, restarts_s, silent=silent)
            found.append(look.turn())
        before.append(record)
    return found


def profile_rows(profile: Sequence[TurnCache]) -> list[dict[str, object]]:
    """Return one row a turn, for a table or a DataFrame; tokens, seconds, shares 0 to 1."""
    return [
        {
            "turn": one.turn,
            "agent": one.agent,
            "kind": one.kind,
            "ttft_s": one.ttft_s,
            "input": one.input_tokens,
            "cached": one.cached_tokens,
            "expected": one.expected_tokens,
            "estimated": one.estimated,
            "hit_rate": one.cached_tokens / one.input_tokens,
            "computed": one.input_tokens - one.cached_tokens,
            "cause": one.cause,
            "what": CAUSES.get(one.cause, "everything that could be had was"),
            **{f"missed.{cause}": one.missed.get(cause, 0) for cause in CAUSES},
        }
        for one in profile
    ]


class _Look:
    """At one request, its conversation before it, and the prompt that it begins like."""

    def __init__(
        self,
        record: RequestRecord,
        before: Sequence[RequestRecord],
        known: Mapping[str, RequestRecord],
        block: int,
        restarts_s: Sequence[float],
        *,
        silent: bool,
    ) -> None:
        self._record = record
        self._previous = before[-1] if before else None
        self._turn = len(before) + 1
        like = known.get(record.same_as)
        # After a restart of the proxy a conversation is compared with others, not with its own.
        alien = before and like is not None and _conversation(like) != _conversation(record)
        self._same_as = "" if alien else record.same_as
        self._like = None if alien else like
        self._block = max(1, block)
        self._restarts_s = restarts_s
        self._silent = silent
        self._total = _tokens(record)

    def turn(self) -> TurnCache:
        record, total = self._record, self._total
        shared, estimated = self._shared()
        expected = min(shared, total - 1) // self._block * self._block
        return TurnCache(
            request_id=record.request_id,
            session=record.session,
            agent=record.agent,
            kind=record.kind,
            turn=self._turn,
            start_s=_start_s(record),
            ttft_s=None if record.ttft_ms is None else record.ttft_ms / 1e3,
            input_tokens=total,
            cached_tokens=record.cached_tokens,
            shared_tokens=shared,
            expected_tokens=expected,
            estimated=estimated,
            missed={
                cause: tokens for cause, tokens in self._missed(shared, expected) if tokens > 0
            },
        )

    def _shared(self) -> tuple[int, bool]:
        """Tokens shared with the prompt it begins like; whether they were reckoned."""
        record, like = self._record, self._like
        if like is not None:
            if record.same_bytes >= like.prompt_bytes:
                return min(_tokens(like), self._total), False
            return self._reckoned(record.same_bytes / record.prompt_bytes), True
        if self._same_as and record.prompt_bytes:
            return self._reckoned(record.same_bytes / record.prompt_bytes), True
        previous = self._previous
        if previous is None:
            return 0, False
        # Nobody compared them: a log of an earlier version, or a proxy that was restarted. Claude
        # Code's conversations grow, so a prompt that is longer begins as the last one did.
        return (_tokens(previous) if self._total >= _tokens(previous) else 0), True

    def _reckoned(self, share: float) -> int:
        """Tokens of a share of the bytes; what the engine told, where that is near.

        Tools take other bytes a token than prose does, so a difference of a tenth proves nothing.
        """
        tokens, cached = round(self._total * share), self._record.cached_tokens
        near = max(self._block, tokens * _NEAR)
        return cached if cached and abs(tokens - cached) <= near else tokens

    def _missed(self, shared: int, expected: int) -> list[tuple[str, int]]:
        """Tokens by cause; they and the cached ones are the prompt."""
        cached, total = self._record.cached_tokens, self._total
        had = shared if self._previous is None else min(_tokens(self._previous), total)
        had = max(had, shared)
        new = "first turn" if self._previous is None else "new text"
        return [
            (new, total - max(had, cached)),
            (self._change(), had - max(shared, cached)),
            ("block rounding", shared - max(expected, cached)),
            (self._loss(), expected - cached),
        ]

    def _change(self) -> str:
        """Why the prompt does not go on where the conversation's last one ended."""
        record, previous = self._record, self._previous
        if previous is None:
            return "not told"
        if not (record.prompt_bytes and previous.prompt_bytes):
            return "compaction" if _after_compaction(record, previous) else "not told"
        if record.tools_digest != previous.tools_digest:
            same = record.toolset_digest == previous.toolset_digest
            return "tools reordered" if same else "tools changed"
        if _after_compaction(record, previous):
            return "compaction"
        if record.system_digest != previous.system_digest:
            return "system prompt changed"
        return "history changed"

    def _loss(self) -> str:
        """Why what had been computed was not in the cache."""
        if self._silent:
            return "not reported"
        like = self._like or self._previous
        if like is None:
            return "not told"
        start_s, computed_s = _start_s(self._record), _start_s(like) + (like.ttft_ms or 0.0) / 1e3
        if any(_start_s(like) < one <= start_s for one in self._restarts_s):
            return "engine restarted"
        return "sent too early" if start_s < computed_s else "evicted"


def _after_compaction(record: RequestRecord, previous: RequestRecord) -> bool:
    return record.kind != "compaction" and (
        previous.kind == "compaction" or record.messages < previous.messages
    )


def _conversation(record: RequestRecord) -> str:
    beside = "/background" if record.kind == "background" else ""
    return f"{record.session}/{record.agent}{beside}"


def _tokens(record: RequestRecord) -> int:
    return record.input_tokens + record.cached_tokens


def _start_s(record: RequestRecord) -> float:
    return datetime.fromisoformat(record.time.replace("Z", "+00:00")).timestamp()


def missed_totals(profile: Sequence[TurnCache]) -> dict[str, int]:
    """Return tokens by cause over all turns, cached ones first, then in the order of `CAUSES`."""
    pairs = itertools.chain.from_iterable(one.missed.items() for one in profile)
    missed = dict.fromkeys(CAUSES, 0)
    for cause, tokens in pairs:
        missed[cause] += tokens
    cached = sum(one.cached_tokens for one in profile)
    return {"cached": cached, **{cause: tokens for cause, tokens in missed.items() if tokens}}
