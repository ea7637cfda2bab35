"""Which entries fit some words best: BM25 over names, summaries and arguments."""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from autosre_lab.discovery.entries import Entry

__all__ = ["rank", "similar_names", "words_of"]

_SATURATION = 1.2
_LENGTH_WEIGHT = 0.5
_WEIGHTS = {"name": 5, "summary": 2, "words": 1, "doc": 1}
"""How often a word counts, by where it stands."""

_ENDINGS = ("ing", "ies", "es", "ed", "s", "e")
_SYNONYMS = {
    "ask": ("claude",),
    "begin": ("start",),
    "benchmark": ("bench",),
    "compare": ("diff", "drift"),
    "evaluate": ("eval", "evaluation"),
    "gpu": ("energy", "preflight"),
    "kill": ("stop",),
    "latency": ("bench", "ttft"),
    "launch": ("start", "claude"),
    "log": ("request_log",),
    "measure": ("bench",),
    "model": ("recipe",),
    "monitor": ("watch", "metrics"),
    "optimize": ("tune",),
    "fast": ("bench",),
    "run": ("start", "status"),
    "slow": ("bench", "watch"),
    "serve": ("start",),
    "end": ("stop",),
    "shut": ("stop",),
    "shutdown": ("stop",),
    "speed": ("bench",),
    "throughput": ("bench",),
}
_EMPTY = frozenset(
    (
        *(
            "a",
            "an",
            "and",
            "are",
            "at",
            "by",
            "can",
            "do",
            "does",
            "for",
            "from",
            "how",
            "i",
            "in",
        ),
        *("is", "it", "me", "my", "of", "on", "or", "the", "to", "up", "with"),
    )
)


def words_of(text: str) -> list[str]:
    """Return the words of a text, names split at ``_``, ``-``, ``.`` and capitals, endings off."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    found = re.findall(r"[a-z0-9]+", split.lower())
    return [_stem(word) for word in found if word not in _EMPTY]


def rank(entries: Sequence[Entry], query: str) -> list[Entry]:
    """Return the entries that have any of a query's words, the best first; an exact name leads."""
    wanted = Counter(words_of(query))
    # A synonym counts half of what was said.
    for word in list(wanted):
        for other in _synonyms().get(word, ()):
            for part in words_of(other):
                wanted.setdefault(part, 0)
    bags = [_bag(entry) for entry in entries]
    mean = sum(map(sum_of, bags)) / len(bags) if bags else 1.0
    holding = Counter(word for bag in bags for word in wanted if word in bag)
    scored = []
    for entry, bag in zip(entries, bags, strict=True):
        score = sum(
            (1.0 if said else 0.5) * _score(bag[word], sum_of(bag), mean, holding[word], len(bags))
            for word, said in wanted.items()
            if word in bag
        )
        score *= _usefulness(entry)
        if _is_named(entry, query):
            score += 1000.0
        if score > 0:
            scored.append((score, entry))
    scored.sort(key=lambda pair: (-pair[0], len(pair[1].name), pair[1].name))
    return [entry for _, entry in scored]


def similar_names(names: Iterable[str], wanted: str, *, limit: int = 3) -> list[str]:
    """Return names that look like a wanted one, for "did you mean"."""
    by_short = {name.rpartition(".")[2].lower(): name for name in names}
    by_short |= {name.lower(): name for name in by_short.values()}
    close = difflib.get_close_matches(wanted.lower(), by_short, n=limit * 2, cutoff=0.6)
    return list(dict.fromkeys(by_short[one] for one in close))[:limit]


def sum_of(bag: Counter[str]) -> int:
    """Return how many words a bag holds."""
    return sum(bag.values())


def _bag(entry: Entry) -> Counter[str]:
    bag: Counter[str] = Counter()
    for part, weight in _WEIGHTS.items():
        for word in words_of(getattr(entry, part)):
            bag[word] += weight
    return bag


def _score(count: int, length: int, mean: float, holding: int, total: int) -> float:
    rarity = math.log(1 + (total - holding + 0.5) / (holding + 0.5))
    damped = count + _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * length / mean)
    return rarity * count * (_SATURATION + 1) / damped


def _usefulness(entry: Entry) -> float:
    """Return how likely an entry is what somebody wants to do, before any words."""
    if entry.kind != "function":
        return {"cli": 2.0, "tool": 1.5, "notebook": 1.3, "recipe": 1.0}[entry.kind]
    short = entry.name.rpartition(".")[2]
    if short.endswith(("Error", "Warning")):
        return 0.3
    return 1.0 if short[0].islower() else 0.6  # a type is seldom what is called


def _is_named(entry: Entry, query: str) -> bool:
    plain = query.strip().lower()
    name = entry.name.lower()
    return plain in (name, name.removeprefix("autosre "), name.rpartition(".")[2])


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls"
    return word[:-1] if doubled else word


@cache
def _synonyms() -> dict[str, tuple[str, ...]]:
    return {_stem(word): others for word, others in _SYNONYMS.items()}
