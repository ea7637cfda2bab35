"""Split the words of a ``vllm serve`` line into options and their values, as argparse does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autosre_lab.recipe.flag_values import parse_human_int
from autosre_lab.recipe.flags import Flag, FlagTable

__all__ = ["Given", "option_words"]

_NEGATIVE_NUMBER = re.compile(r"^-\d+$|^-\d*\.\d+$")


@dataclass(frozen=True, slots=True)
class Given:
    """One option as it stands on a line.

    Attributes:
        option: As spelled, with dashes for underscores.
        flag: What it means; None for an option that the table does not have.
        negated: It is the ``--no-`` form.
        values: Its words.
    """

    option: str
    flag: Flag | None
    negated: bool
    values: tuple[str, ...]


def option_words(
    words: Sequence[str], table: FlagTable | None
) -> tuple[list[Given], tuple[str, ...]]:
    """Return the options of a line in order, and the words that belong to none.

    Args:
        words: What follows ``vllm serve``.
        table: The flags of the version; without it every option takes the words that follow it.
    """
    given: list[Given] = []
    positional: list[str] = []
    words = _with_json_joined([_spelled_out(word) for word in words])
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            positional += words[at:]
            break
        found = _find(word, table)
        if found is None:
            positional.append(word)
            continue
        option, flag, negated, attached = found
        taken = _values(flag, attached, words, at, table)
        at += len(taken)
        values = ((attached,) if attached is not None else ()) + tuple(taken)
        given.append(Given(option, flag, negated, values))
    return given, tuple(positional)


def _spelled_out(word: str) -> str:
    if word.startswith("--"):
        name, sign, value = word.partition("=")
        head, dot, path = name.partition(".")
        return head.replace("_", "-") + dot + path + sign + value
    if word.startswith("-O"):  # as compilers spell it: -O3, -O=3, -O 3
        level = word[2:].removeprefix("=")
        return f"--optimization-level={level}" if level else "--optimization-level"
    return word


def _with_json_joined(words: Sequence[str]) -> list[str]:
    """Gather ``--x.a.b value`` words into one JSON value each, at the end, as vLLM does."""
    rest: list[str] = []
    trees: dict[str, dict[str, Any]] = {}
    remaining = iter(words)
    for word in remaining:
        name, sign, text = word.partition("=")
        dotted = name.startswith("-") and "." in name and not _NEGATIVE_NUMBER.match(name)
        if not dotted or (not sign and (text := next(remaining, "")) == ""):
            rest.append(word)
            continue
        option, *path = name.removesuffix("+").split(".")
        value: Any = text.split(",") if name.endswith("+") else _scalar(text)
        for key in reversed(path):
            value = {key: value}
        _lay(trees.setdefault(option, {}), value)
    for option, tree in trees.items():
        rest += [option, json.dumps(tree)]
    return rest


def _scalar(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return parse_human_int(text)
    except ValueError:
        return text


def _lay(tree: dict[str, Any], over: dict[str, Any]) -> None:
    for key, value in over.items():
        below = tree.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            _lay(below, value)
        elif isinstance(below, list) and isinstance(value, list):
            tree[key] = below + value
        else:
            tree[key] = value


def _find(word: str, table: FlagTable | None) -> tuple[str, Flag | None, bool, str | None] | None:
    """Return option, flag, whether negated, and the value attached to it; None for a value."""
    if len(word) < 2 or word[0] != "-":
        return None
    name, sign, text = word.partition("=")
    attached = text if sign else None
    if table is not None:
        for spelled, value in ((word, None), (name, attached)):
            if found := table.find(spelled):
                return spelled, found[0], found[1], value
        if found := _abbreviated(name, table):
            return name, found[0], found[1], attached
        if word[1] != "-" and (found := table.find(word[:2])):
            return word[:2], found[0], found[1], word[2:]
    if _NEGATIVE_NUMBER.match(word) or " " in name:
        return None
    return name, None, False, attached


def _abbreviated(name: str, table: FlagTable) -> tuple[Flag, bool] | None:
    """Return the only flag that a name can be the beginning of."""
    if not name.startswith("--"):
        return None
    meant = {
        (flag.name, negated): (flag, negated)
        for spelling, flag, negated in _spellings(table)
        if spelling.startswith(name)
    }
    return next(iter(meant.values())) if len(meant) == 1 else None


def _spellings(table: FlagTable) -> Iterator[tuple[str, Flag, bool]]:
    for flag in table.flags.values():
        for name in (flag.name, *flag.aliases):
            yield name, flag, False
            if flag.kind == "pair" and name.startswith("--"):
                yield f"--no-{name[2:]}", flag, True
        for name in flag.negatives:
            yield name, flag, True


def _values(
    flag: Flag | None, attached: str | None, words: Sequence[str], at: int, table: FlagTable | None
) -> list[str]:
    """Return the words behind an option that are its values."""
    if attached is not None or (flag is not None and flag.kind in ("pair", "switch")):
        return []
    most: int | None = 1
    if flag is None or flag.nargs in ("+", "*"):
        most = None
    elif isinstance(flag.nargs, int):
        most = flag.nargs
    taken: list[str] = []
    for word in words[at:]:
        if len(taken) == most or word == "--" or _find(word, table) is not None:
            break
        taken.append(word)
    return taken
