"""Read the values of flags the way vLLM's own parser does."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping

from autosre_lab.recipe.flags import Flag

__all__ = ["close_to", "parse_human_int", "value_problem"]

_HUMAN = "a whole number such as 262144, 256K (262144) or 256k (256000)"
_DECIMAL = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_human_int(text: str) -> int:
    """Return the number that vLLM reads: ``256k`` is 256000, ``256K`` is 262144.

    Raises:
        ValueError: It is not such a number.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgGtT])", text.strip())
    if match is None:
        return int(text)
    number, suffix = match.groups()
    if suffix in _DECIMAL:
        return int(float(number) * _DECIMAL[suffix])
    if "." in number:
        raise ValueError(f"{suffix} is binary and takes no decimals; {suffix.lower()} does")
    return int(number) * _BINARY[suffix]


def value_problem(flag: Flag, value: object) -> tuple[str, str] | None:
    """Return what is wrong with one value of a flag, and the remedy; None if it fits.

    Args:
        flag: A flag of kind ``value`` or ``append``.
        value: A text, as on a command line, or a number, boolean, map or list from a recipe.
    """
    if (flag.optional and value in ("", "None")) or (value == "" and flag.default == ""):
        return None
    if flag.type in ("json", "json_or_str"):
        return _json_problem(flag, value)
    if isinstance(value, bool | Mapping | list | tuple) or value is None:
        return (f"{_short(value)} is not one value", f"write {_wanted(flag)}")
    problem = _number_problem(flag, value)
    return problem or _choice_problem(flag, value)


def close_to(word: str, words: Iterable[str]) -> str:
    """Return "did you mean …? " for the nearest word; nothing if none is near."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"did you mean {close[0]}? " if close else ""


def _number_problem(flag: Flag, value: object) -> tuple[str, str] | None:
    text = str(value).strip()
    try:
        match flag.type:
            case "int":
                int(text)
            case "float":
                float(text)
            case "human_int":
                parse_human_int(text)
            case "human_int_or_auto":
                if text != "-1" and text.lower() != "auto":
                    parse_human_int(text)
    except ValueError as error:
        detail = "" if "invalid literal" in str(error) or flag.type == "float" else f" ({error})"
        return (f"{_short(value)} is not {_wanted(flag)}{detail}", f"write {_wanted(flag)}")
    return None


def _choice_problem(flag: Flag, value: object) -> tuple[str, str] | None:
    if flag.choices:
        choices = [str(choice) for choice in flag.choices]
        if str(value) not in choices:
            remedy = f"{close_to(str(value), choices)}it takes: {', '.join(choices)}"
            return (f"{_short(value)} is not one of its choices", remedy)
    elif flag.registered and str(value) not in flag.registered:
        remedy = f"{close_to(str(value), flag.registered)}it has: {', '.join(flag.registered)}"
        return (f"{_short(value)} does not come with this vLLM", remedy)
    return None


def _json_problem(flag: Flag, value: object) -> tuple[str, str] | None:
    if isinstance(value, str):
        looks_json = re.fullmatch(r"(?s)\s*\{.*\}\s*", value) is not None
        if flag.type == "json_or_str" and not looks_json:
            return None
        try:
            value = json.loads(value)
        except ValueError as error:
            return (f"{_short(value)} is not JSON ({error})", "write it as a YAML map")
    if isinstance(value, Mapping) and flag.keys:
        for key in value:
            if key not in flag.keys:
                remedy = f"{close_to(str(key), flag.keys)}its keys are: {', '.join(flag.keys)}"
                return (f"{key} is not a key of its value", remedy)
    elif flag.keys:
        return (f"{_short(value)} is not a map", "write it as a YAML map")
    return None


def _wanted(flag: Flag) -> str:
    return {
        "int": "a whole number",
        "float": "a number",
        "human_int": _HUMAN,
        "human_int_or_auto": f"auto, or {_HUMAN}",
    }.get(flag.type or "", "one text or number")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
