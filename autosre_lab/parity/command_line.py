"""``vllm serve`` lines in one canonical form, read as vLLM's own parser reads them.

Two lines that make vLLM parse the same settings compare as equal, however they are spelled. The
flag table of the version says what is an alias, how many values a flag takes, and its default.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from pydantic import JsonValue

from autosre_lab.errors import ConfigError
from autosre_lab.parity.mismatch import Mismatch, same, shown
from autosre_lab.parity.option_words import Given, option_words
from autosre_lab.parity.process_probe import HIDDEN, after_serve
from autosre_lab.recipe.flag_values import parse_human_int
from autosre_lab.recipe.flags import Flag, FlagTable

__all__ = [
    "SECRET_FLAGS",
    "VLLM_PORT",
    "CommandLine",
    "difference",
    "listening_port",
    "read_command_line",
    "vllm_arguments",
]

VLLM_PORT = 8000
"""Where vLLM listens if nobody says."""

SECRET_FLAGS = frozenset({"--api-key", "--hf-token"})
"""Flags whose values are never kept, let alone shown."""

_SHELLS = ("sh", "bash", "dash", "ash")
_SHELL_ENDS = re.compile(r"[;|&]+$|\d?[<>]")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What one ``vllm serve`` line says.

    Attributes:
        model: What is loaded.
        flags: Canonical long name, with dashes, to value: JSON values as such, numbers as numbers,
            true and false for boolean flags, a list where a flag takes several.
        unknown: Options that the table does not have, as spelled, to their words.
        stray: Words that belong to no flag.
        table: By which it was read; None where there is none of this version.
    """

    model: str | None
    flags: Mapping[str, JsonValue]
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stray: tuple[str, ...] = ()
    table: FlagTable | None = field(default=None, repr=False, compare=False)


def read_command_line(argv: Sequence[str], table: FlagTable | None) -> CommandLine:
    """Return the canonical form of a command line.

    Args:
        argv: Of the API server, of a wrapper around it, or a shell's with the line as one text.
        table: The flags of the version of vLLM that runs.

    Raises:
        ConfigError: No ``vllm serve`` and no API server's module is in it.
    """
    given, positional = option_words(vllm_arguments(argv), table)
    flags: dict[str, JsonValue] = {}
    unknown: dict[str, tuple[str, ...]] = {}
    for one in given:
        if one.flag is None:
            unknown[one.option] = (*unknown.get(one.option, ()), *one.values)
            continue
        value = _value(one.flag, one)
        if one.flag.kind == "append":
            before = flags.get(one.flag.name)
            value = [*(before if isinstance(before, list) else []), value]
        # A dictionary keeps the place of the first; vLLM, too, takes the last value.
        flags[one.flag.name] = value
    named = flags.pop("--model", None)
    model = str(named) if named is not None else positional[0] if positional else None
    stray = tuple(positional if named is not None else positional[1:])
    if model is None and table is not None and (flag := table.flags.get("--model")):
        model = str(flag.default) if flag.default else None
    return CommandLine(model, flags, unknown, stray, table)


def listening_port(argv: Sequence[str], table: FlagTable | None) -> int:
    """Return the port that a command line has vLLM listen on.

    Args:
        argv: As for `read_command_line`.
        table: The flags of the version of vLLM that runs.
    """
    line = read_command_line(argv, table)
    said = line.flags.get("--port", line.unknown.get("--port", (VLLM_PORT,))[-1])
    return int(str(said)) if str(said).isdecimal() else VLLM_PORT


def difference(expected: CommandLine, live: CommandLine) -> list[Mismatch]:
    """Return how two command lines differ in meaning: a default said aloud is no difference."""
    found = []
    if expected.model != live.model:
        found.append(_mismatch("model", expected.model, live.model))
    for name in dict.fromkeys((*expected.flags, *live.flags)):
        one, other = _effective(expected, name), _effective(live, name)
        if not same(one, other):
            found.append(_mismatch(name, _told(expected, name), _told(live, name)))
    found += [
        _mismatch(option, _joined(expected, option), _joined(live, option))
        for option in dict.fromkeys((*expected.unknown, *live.unknown))
        if expected.unknown.get(option) != live.unknown.get(option)
    ]
    if expected.stray != live.stray:
        words = [" ".join(line.stray) or None for line in (expected, live)]
        found.append(_mismatch("words without a flag", *words))
    return found


def vllm_arguments(argv: Sequence[str]) -> list[str]:
    """Return the arguments behind ``vllm serve``, whatever stands in front of it.

    Raises:
        ConfigError: It is not in it.
    """
    words = list(argv)
    for at, word in enumerate(words):
        if PurePath(word).name in _SHELLS and "-c" in _short_options(words[at + 1 : at + 3]):
            text = next((one for one in words[at + 1 :] if not one.startswith("-")), "")
            return vllm_arguments(_first_command(text))
        if (start := after_serve(words[at:])) is not None:
            return words[at + start :]
    raise ConfigError(
        f"there is no `vllm serve` in: {shlex.join(words)[:300]}",
        remedy="give the command line of vLLM's API server",
    )


def _short_options(words: Sequence[str]) -> str:
    """Return "-c" and the like, also out of bundles such as "-lc"."""
    return "".join("-c" for word in words if re.fullmatch(r"-[a-z]*c[a-z]*", word))


def _first_command(text: str) -> list[str]:
    """Return the words of a shell's text from where vLLM begins to where its command ends."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return []
    for at in range(len(words)):
        if after_serve(words[at:]) is not None:
            ends = (i for i in range(at, len(words)) if _SHELL_ENDS.match(words[i]))
            return words[at : next(ends, len(words))]
    return []


def _value(flag: Flag, given: Given) -> JsonValue:
    if flag.kind in ("pair", "switch"):
        return shown(given.values) if given.values else not given.negated
    if flag.name in SECRET_FLAGS:
        return HIDDEN
    values = [_one_value(flag, text) for text in given.values]
    if flag.nargs in ("+", "*") or isinstance(flag.nargs, int):
        return values
    return values[0] if values else None


def _one_value(flag: Flag, text: str) -> JsonValue:
    """Return a value as vLLM's parser would; the text itself where the parser would refuse it."""
    if flag.optional and text in ("", "None"):
        return None
    try:
        match flag.type:
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "human_int":
                return parse_human_int(text)
            case "human_int_or_auto":
                auto = text.strip().lower() in ("auto", "-1")
                return -1 if auto else parse_human_int(text)
            case "json":
                return _json(text)
            case "json_or_str" if re.fullmatch(r"(?s)\s*\{.*\}\s*", text):
                return _json(text)
    except ValueError:
        return text
    return text


def _json(text: str) -> JsonValue:
    value: JsonValue = json.loads(text)
    return value


def _effective(line: CommandLine, name: str) -> JsonValue:
    """Return the value that vLLM's parser ends up with, given or by default."""
    flag = line.table.flags.get(name) if line.table else None
    by_default = _default(flag) if flag is not None else None
    value = line.flags.get(name, by_default)
    if name == "--served-model-name" and not value:
        return [line.model]
    if name == "--host":
        return value or "0.0.0.0"  # noqa: S104 - what vLLM listens on where it is not told
    if value == {} and flag is not None and not flag.optional:
        return None  # an object of defaults only, which is what an absent one becomes
    return value


def _default(flag: Flag) -> JsonValue:
    if isinstance(flag.default, str) and flag.kind == "value":
        return _one_value(flag, flag.default)
    default: JsonValue = flag.default  # type: ignore[assignment]  # it was read from JSON
    return default


def _told(line: CommandLine, name: str) -> str | None:
    return shown(line.flags[name]) if name in line.flags else None


def _joined(line: CommandLine, option: str) -> str | None:
    return shlex.join(line.unknown[option]) if option in line.unknown else None


def _mismatch(subject: str, expected: str | None, live: str | None) -> Mismatch:
    kind = "missing" if live is None else "extra" if expected is None else "different"
    return Mismatch(subject=subject, kind=kind, expected=expected, live=live)  # type: ignore[arg-type]
