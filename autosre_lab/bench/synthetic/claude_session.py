"""Sessions like Claude Code's: one long prefix that all share, and a history that grows.

Sizes are log-normal with the parameters that the conversation replay example of kubernetes-sigs/
inference-perf uses for Claude Code: 38 turns a session (25 to 57), 1,650 fresh tokens a turn
(standard deviation 3,000; 64 to 24,000), 585 tokens out (400; 62 to 3,600).
"""

from __future__ import annotations

import random
from typing import Any

from autosre_lab.bench.synthetic.text import code, json_text, lognormal, prose
from autosre_lab.bench.workload import Session, SessionTurn, Workload
from autosre_lab.errors import ConfigError

__all__ = ["cc_session"]

# What a Claude Code session calls, and how often among a hundred calls.
_TOOLS = (("Read", 30), ("Bash", 28), ("Edit", 20), ("Grep", 12), ("Glob", 5), ("Write", 5))
_FIELDS = {
    "Read": ("file_path", "offset", "limit"),
    "Bash": ("command", "timeout", "description"),
    "Edit": ("file_path", "old_string", "new_string"),
    "Grep": ("pattern", "path", "glob"),
    "Glob": ("pattern", "path"),
    "Write": ("file_path", "content"),
}
_TOOL_SHARE = 0.7
"""Share of the prefix that tool definitions take; the rest is the system prompt."""


def cc_session(
    *,
    seed: int = 0,
    sessions: int = 4,
    prefix_tokens: int = 24_000,
    turns: int = 0,
    scale: float = 1.0,
    context: int = 200_000,
    waits: float = 1.0,
    subagents: int = 0,
    history: str = "live",
) -> Workload:
    """Claude-Code-like sessions with a growing shared prefix and mocked tools.

    Args:
        seed: Of sizes and texts.
        sessions: How many; all share the prefix, as one person's do.
        prefix_tokens: System prompt and tool definitions.
        turns: In each session; 0 draws 25 to 57.
        scale: Of every number of tokens, for small windows.
        context: The window; a session ends before a turn that would not fit.
        waits: Of the time that tools and the user take; 0 sends each turn at once.
        subagents: In each session, each with a prefix of its own and a quarter of the turns.
        history: ``live`` keeps the real answers in the history, ``scripted`` puts texts there
            that are the same on every run, and calls of tools.
    """
    if not 0 < scale <= 1 or sessions < 1 or context < 256:
        raise ConfigError(
            f"scale {scale:g}, {sessions} sessions, a window of {context}: no session fits",
            remedy="scale is above 0 and at most 1; one session and 256 tokens are the least",
        )
    if history not in ("live", "scripted"):
        raise ConfigError(
            f"history must be live or scripted, not {history!r}", remedy="give live or scripted"
        )
    rng = random.Random(f"cc-session {seed}")  # noqa: S311 - a text, not a secret
    system, tools = _prefix(round(prefix_tokens * scale), rng)
    maker = _Maker(rng, scale=scale, context=context, waits=waits, history=history)
    made: list[Session] = []
    for number in range(sessions):
        name = f"cc-{number}"
        main = maker.session(name, system, tools, prefix_tokens * scale, turns)
        if not main.turns:
            raise ConfigError(
                f"not one turn fits into a window of {context} tokens",
                remedy="give a smaller scale or prefix_tokens",
            )
        made.append(main)
        for agent in range(subagents):
            own, own_tools = _prefix(round(prefix_tokens * scale / 3), rng)
            after = min(len(main.turns) - 1, (agent + 1) * len(main.turns) // (subagents + 1))
            made.append(
                maker.session(
                    f"{name}-agent-{agent}",
                    own,
                    own_tools,
                    prefix_tokens * scale / 3,
                    max(1, len(main.turns) // 4),
                    parent=name,
                    after_turn=after,
                )
            )
    return Workload(
        name="cc-session",
        seed=seed,
        parameters={
            "sessions": sessions,
            "prefix_tokens": prefix_tokens,
            "turns": turns,
            "scale": scale,
            "context": context,
            "waits": waits,
            "subagents": subagents,
        },
        sessions=tuple(one for one in made if one.turns),
        history="live" if history == "live" else "scripted",
    )


class _Maker:
    def __init__(
        self, rng: random.Random, *, scale: float, context: int, waits: float, history: str
    ) -> None:
        self._rng = rng
        self._scale = scale
        self._context = context
        self._waits = waits
        self._scripted = history == "scripted"

    def session(
        self,
        name: str,
        system: str,
        tools: tuple[dict[str, Any], ...],
        prefix: float,
        turns: int,
        *,
        parent: str | None = None,
        after_turn: int = 0,
    ) -> Session:
        rng = self._rng
        wanted = turns or round(lognormal(rng, mean=38, deviation=9, least=25, most=57))
        made: list[SessionTurn] = []
        # Sizes are only about right: a tenth more is reckoned with.
        used = prefix * 1.1 + 64
        for at in range(wanted):
            fresh = self._tokens(mean=1650, deviation=3000, least=64, most=24_000)
            out = self._tokens(mean=585, deviation=400, least=62, most=3600)
            used += fresh * 1.15 + out + 16
            if used > self._context:
                break
            made.append(self._turn(at, fresh, out))
        return Session(
            id=name,
            system=system,
            tools=tools,
            turns=tuple(made),
            parent=parent,
            after_turn=after_turn,
        )

    def _turn(self, at: int, fresh: int, out: int) -> SessionTurn:
        rng = self._rng
        makers = (code, prose, json_text)
        text = rng.choices(makers, weights=(5, 3, 2))[0](fresh, rng)
        # A tool answers in about a second; a person, every eighth turn, in half a minute.
        wait_s = rng.uniform(10, 50) if at % 8 == 0 else rng.lognormvariate(0.0, 0.8)
        scripted: dict[str, Any] = {}
        if self._scripted:
            names, weights = zip(*_TOOLS, strict=True)
            called = rng.choices(names, weights=weights)[0]
            scripted = {"answer": prose(max(8, out - 40), rng), "tool": called}
        return SessionTurn(
            text=text,
            max_tokens=out,
            wait_s=round(min(wait_s, 60.0) * self._waits, 3) if at else 0.0,
            **scripted,
        )

    def _tokens(self, *, mean: float, deviation: float, least: float, most: float) -> int:
        drawn = lognormal(self._rng, mean=mean, deviation=deviation, least=least, most=most)
        return max(4, round(drawn * self._scale))


def _prefix(tokens: int, rng: random.Random) -> tuple[str, tuple[dict[str, Any], ...]]:
    """A system prompt and tool definitions that take so many tokens together."""
    each = max(8, round(tokens * _TOOL_SHARE / len(_TOOLS)) - 40)
    tools = tuple(
        {
            "name": name,
            "description": prose(each, rng),
            "input_schema": {
                "type": "object",
                "properties": {field: {"type": "string"} for field in _FIELDS[name]},
                "required": [_FIELDS[name][0]],
            },
        }
        for name, _ in _TOOLS
    )
    return prose(max(8, round(tokens * (1 - _TOOL_SHARE))), rng), tools
