"""Say what is wrong with a recipe in a person's words: file, key path, remedy."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autosre_lab.errors import RecipeError
from autosre_lab.recipe.schema import Recipe

__all__ = ["explain"]


def explain(error: ValidationError, *, where: str) -> RecipeError:
    """Return the error to raise for a tree that is not a recipe.

    Args:
        error: What pydantic found.
        where: The file.
    """
    problems = [_explain_one(details) for details in _causes(error.errors())]
    if len(problems) == 1:
        message, remedy = problems[0]
        return RecipeError(f"{where}: {message}", remedy=remedy)
    lines = "".join(f"\n  {message}: {remedy}" for message, remedy in problems)
    return RecipeError(
        f"{where}: {len(problems)} problems{lines}", remedy="fix each of the keys named above"
    )


def _causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the errors without those that only follow from another one.

    A list whose item is refused is also told to be too short.
    """

    def follows(details: ErrorDetails) -> bool:
        loc = details["loc"]
        return details["type"] == "too_short" and any(
            len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in errors
        )

    return [details for details in errors if not follows(details)]


def _explain_one(details: ErrorDetails) -> tuple[str, str]:
    path, keys = _follow(details["loc"])
    last = path.rsplit(".", 1)[-1]
    if details["type"] == "extra_forbidden":
        close = difflib.get_close_matches(last, keys, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{path}: unknown key", f"{hint}the keys here are: {', '.join(keys)}"
    if details["type"] == "missing":
        return f"{path}: missing", f"add `{last}:`"
    if details["type"] == "recipe_problem":
        said = details["ctx"]
        return (f"{path}: {said['message']}" if path else said["message"]), said["remedy"]
    shown = repr(details["input"])
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return f"{path}: {shown} does not fit: {_lower(details['msg'])}", _remedy(details)


def _remedy(details: ErrorDetails) -> str:
    value, kind = details["input"], details["type"]
    ctx = details.get("ctx", {})
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'quote it, so that YAML keeps it as text, for example "{value}"'
    if kind in ("int_type", "float_type", "bool_type") and isinstance(value, str):
        return "write it without quotes"
    if kind == "literal_error" and isinstance(value, str):
        options = [option.strip("'") for option in str(ctx["expected"]).split(" or ")]
        options = [text.strip().strip("'") for option in options for text in option.split(",")]
        close = difflib.get_close_matches(value, options, n=1, cutoff=0.6)
        return f"did you mean {close[0]}?" if close else f"write {ctx['expected']}"
    if kind.startswith("union_tag"):
        return f"write `kind:` with one of {ctx.get('expected_tags', 'the known kinds')}"
    if kind == "string_pattern_mismatch":
        return f"write a text that matches {ctx['pattern']}"
    return "change the value"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _follow(loc: Sequence[str | int]) -> tuple[str, list[str]]:
    """Return the key path as it stands in the file, and the keys known where it ends.

    pydantic's location names the chosen member of a union, which no file contains.
    """
    shown: list[str] = []
    keys: list[str] = []
    here: Any = Recipe
    for part in loc:
        here = _strip(here)
        if _is_union(here):
            tagged = [m for m in get_args(here) if _tag(m) == part]
            if tagged:
                here = tagged[0]
                continue
            models = [m for m in get_args(here) if m is not type(None)]
            here = _strip(models[0]) if len(models) == 1 else None
        shown.append(str(part))
        if isinstance(here, type) and issubclass(here, BaseModel):
            fields = {f.alias or name: f for name, f in here.model_fields.items()}
            keys = sorted(fields)
            field = fields.get(str(part))
            here = None if field is None else field.annotation
        else:
            keys = []
            arguments = get_args(here)
            origin = get_origin(here)
            here = arguments[1] if origin is dict else arguments[0] if origin is tuple else None
    if shown and shown[-1] == "[key]":
        shown.pop()
    return ".".join(shown), keys


def _strip(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _tag(member: Any) -> str | None:
    if not (isinstance(member, type) and issubclass(member, BaseModel)):
        return None
    kind = member.model_fields.get("kind")
    if kind is None or get_origin(kind.annotation) is not Literal:
        return None
    return str(get_args(kind.annotation)[0])
