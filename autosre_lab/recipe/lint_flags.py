"""Lint the flags of a recipe against the table of its own vLLM version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from autosre_lab.recipe.finding import Finding
from autosre_lab.recipe.flag_values import close_to, value_problem
from autosre_lab.recipe.flags import Flag, FlagTable, flag_table_versions, load_flag_table
from autosre_lab.recipe.schema import OWNED_FLAGS

__all__ = ["lint_args", "lint_extra_args"]


def lint_args(
    args: Mapping[str, JsonValue], table: FlagTable, keys: Mapping[str, str]
) -> Iterator[Finding]:
    """Check flags that are given by name.

    Args:
        args: Flag name without dashes to value.
        table: What the recipe's vLLM accepts.
        keys: Flag name to the key that decides it, where that is not ``engine.args``.
    """
    for name, value in args.items():
        key = keys.get(name, f"engine.args.{name}")
        found = table.find(f"--{name}")
        if found is None:
            yield _unknown(f"--{name}", key, table)
            continue
        flag, negated = found
        if negated:
            yield Finding.error(
                key, f"--{name} is the negative of a pair", f"write {flag.name[2:]}: false"
            )
            continue
        if flag.name != f"--{name}":
            yield Finding.error(
                key, f"--{name} is another name of {flag.name}", f"write {flag.name[2:]}"
            )
            continue
        yield from _deprecated(flag, key, table)
        yield from _lint_value(flag, value, key, table)


def lint_extra_args(
    entries: Sequence[Sequence[str]], given: set[str], table: FlagTable
) -> Iterator[Finding]:
    """Check arguments that are passed on word by word.

    Args:
        entries: The argument lists, in order.
        given: Canonical names (with dashes) of the flags that the recipe gives otherwise.
        table: What the recipe's vLLM accepts.
    """
    seen = set(given)
    for index, argv in enumerate(entries):
        key = f"engine.extra_args.{index}"
        for option, values in _options(argv):
            if option == "":
                yield Finding.error(
                    key,
                    f"{' '.join(values)} stands before any flag",
                    "begin with the flag that it belongs to",
                )
                continue
            found = table.find(option)
            if found is None:
                yield _unknown(option, key, table)
                continue
            flag, negated = found
            if owner := OWNED_FLAGS.get(flag.name[2:]):
                yield Finding.error(key, f"{flag.name} is decided by {owner}", "take it out here")
            if flag.name in seen and flag.kind != "append" and "." not in option:
                yield Finding.error(
                    key, f"{flag.name} is given twice; vLLM takes the last", "keep one of them"
                )
            seen.add(flag.name)
            yield from _deprecated(flag, key, table)
            if "." not in option:
                yield from _lint_words(flag, values, key, negated=negated)


def _lint_value(flag: Flag, value: JsonValue, key: str, table: FlagTable) -> Iterator[Finding]:
    if value is None:
        return
    if flag.kind in ("pair", "switch"):
        if not isinstance(value, bool):
            yield Finding.error(
                key, f"{flag.name} takes no value, and {value!r} is one", "write true or false"
            )
        elif value is False and flag.kind == "switch":
            yield Finding.error(
                key,
                f"vLLM {table.version} has no --no-{flag.name[2:]}",
                "leave the key out, or write null to undo an inherited true",
            )
        return
    if value is True and flag.nargs == "?":
        return
    values = _values(flag, value)
    if values is None:
        yield Finding.error(
            key, f"{flag.name} takes one value, and here is a list", "write one value"
        )
        return
    if not values or (isinstance(flag.nargs, int) and len(values) != flag.nargs):
        wanted = flag.nargs if isinstance(flag.nargs, int) else "one or more"
        yield Finding.error(
            key, f"{flag.name} takes {wanted} values, and here are {len(values)}", "complete them"
        )
    for one in values:
        if problem := value_problem(flag, one):
            yield Finding.error(key, f"{flag.name}: {problem[0]}", problem[1])


def _values(flag: Flag, value: JsonValue) -> Sequence[JsonValue] | None:
    """Return the values as vLLM gets them; None for a list where one value is wanted."""
    if not isinstance(value, list):
        return [value]
    if flag.nargs in ("+", "*") or isinstance(flag.nargs, int) or flag.kind == "append":
        return value
    return [value] if flag.type in ("json", "json_or_str") else None


def _lint_words(flag: Flag, values: Sequence[str], key: str, *, negated: bool) -> Iterator[Finding]:
    form = f"--no-{flag.name[2:]}" if negated else flag.name
    if flag.kind in ("pair", "switch"):
        if values:
            yield Finding.error(key, f"{form} takes no value", f"take {' '.join(values)} out")
        return
    if not values and flag.nargs != "?":
        yield Finding.error(key, f"{form} needs a value", "add it")
    elif len(values) > 1 and flag.nargs in (None, "?"):
        yield Finding.error(
            key, f"{form} takes one value, not {len(values)}", f"take {' '.join(values[1:])} out"
        )
    for value in values:
        if problem := value_problem(flag, value):
            yield Finding.error(key, f"{form}: {problem[0]}", problem[1])


def _options(argv: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Split words into options and their values; the option is empty for words before any."""
    option, values, started = "", list[str](), False
    for word in argv:
        if _is_option(word):
            if started:
                yield option, values
            option, sign, value = word.partition("=")
            values, started = ([value] if sign else []), True
        else:
            values.append(word)
            started = True
    if started:
        yield option, values


def _is_option(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and not word[1:].replace(".", "", 1).isdigit()


def _deprecated(flag: Flag, key: str, table: FlagTable) -> Iterator[Finding]:
    if flag.deprecated:
        yield Finding.warning(
            key, f"{flag.name} is deprecated in vLLM {table.version}", "look for its successor"
        )


def _unknown(option: str, key: str, table: FlagTable) -> Finding:
    elsewhere = [v for v in flag_table_versions() if v != table.version and _has(v, option)]
    also = f"; vLLM {', '.join(elsewhere)} has it" if elsewhere else ""
    names = [name[2:] for name in table.flags]
    hint = close_to(option.removeprefix("--").replace("_", "-"), names)
    return Finding.error(
        key,
        f"vLLM {table.version} has no flag {option}{also}",
        f"{hint}or take it out" if hint else "take it out",
    )


def _has(version: str, option: str) -> bool:
    table = load_flag_table(version)
    return table is not None and table.find(option) is not None
