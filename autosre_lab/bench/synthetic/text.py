"""Texts drawn from a seed: prose, code and JSON, in sizes counted in tokens.

A tokenizer is not needed to make them, and not available where they are made: a size is what
common tokenizers take, within some ten per cent. What a request really had is in its result.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Literal

__all__ = ["Content", "code", "content_of", "json_text", "lognormal", "prose"]

Content = Literal["prose", "code", "json"]

_WORDS = """
the system keeps every answer in order while a second request waits for its turn and the first one
reads more memory than anybody had planned when this machine was built so people look at numbers
that move slowly and ask which part of the work could be left out without losing what matters most
to those who only want to finish before the evening comes light river stone paper window market
garden winter letter bridge mountain village station music question reason method figure history
language science travel animal kitchen doctor teacher open close carry follow begin answer remember
explain measure compare repair deliver
""".split()  # noqa: SIM905 - a list of a hundred strings is not read
_NAMES = """
buffer queue index cache token request reply session window block layer state value count limit
offset record worker reader writer parser engine recipe sample
""".split()  # noqa: SIM905
_VERBS = ("load", "read", "write", "merge", "split", "count", "check", "build", "find", "send")

# As SmolLM2's tokenizer counts (49,152 entries); larger vocabularies take a few per cent less.
_TOKENS_PER_WORD = 1.08
_TOKENS_PER_LINE = 9.0
_TOKENS_PER_FIELD = 13.5


def prose(tokens: int, rng: random.Random) -> str:
    """Return English-looking sentences of about so many tokens."""
    words = [rng.choice(_WORDS) for _ in range(max(1, round(tokens / _TOKENS_PER_WORD)))]
    sentences, at = [], 0
    while at < len(words):
        length = rng.randint(8, 18)
        sentence = " ".join(words[at : at + length])
        sentences.append(sentence[0].upper() + sentence[1:] + ".")
        at += length
    return " ".join(sentences)


def code(tokens: int, rng: random.Random) -> str:
    """Return Python-looking functions of about so many tokens."""
    wanted = max(1, round(tokens / _TOKENS_PER_LINE))
    lines: list[str] = []
    while len(lines) < wanted:
        verb, noun, other = rng.choice(_VERBS), rng.choice(_NAMES), rng.choice(_NAMES)
        lines += [
            f"def {verb}_{noun}({other}: int, limit: int = {rng.randint(1, 999)}) -> int:",
            f"    {noun} = {other} * {rng.randint(2, 99)} + limit",
            f"    while {noun} > {rng.randint(10, 999)}:",
            f"        {noun} -= {rng.choice(_VERBS)}_{rng.choice(_NAMES)}({other})",
            f"    return {noun}",
            "",
        ]
    return "\n".join(lines[:wanted])


def json_text(tokens: int, rng: random.Random) -> str:
    """Return a JSON array of records of about so many tokens."""
    fields = max(1, round(tokens / _TOKENS_PER_FIELD))
    records = [
        {rng.choice(_NAMES): rng.randint(0, 99_999), "name": rng.choice(_WORDS), "ok": True}
        for _ in range(max(1, fields // 2))
    ]
    return json.dumps(records, indent=1)


_MAKERS: dict[str, Callable[[int, random.Random], str]] = {
    "prose": prose,
    "code": code,
    "json": json_text,
}


def content_of(kind: Content, tokens: int, rng: random.Random) -> str:
    """Return a text of a kind, of about so many tokens."""
    return _MAKERS[kind](tokens, rng)


def lognormal(
    rng: random.Random, *, mean: float, deviation: float, least: float, most: float
) -> float:
    """Draw from the log-normal distribution with this mean and standard deviation, clipped.

    Args:
        rng: The source.
        mean: Of the distribution before clipping.
        deviation: Its standard deviation.
        least: Smaller draws become this.
        most: Larger draws become this.
    """
    variance = math.log(1 + (deviation / mean) ** 2)
    drawn = rng.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))
    return min(most, max(least, drawn))
