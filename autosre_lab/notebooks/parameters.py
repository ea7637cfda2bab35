"""A notebook's parameters: which there are, and `KEY=VALUE` as their types want it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from autosre_lab.errors import ConfigError, MissingExtraError

__all__ = ["Parameter", "notebook_parameters", "parse_parameters"]

_BOOLS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class Parameter(NamedTuple):
    """One line of a parameters cell.

    Attributes:
        name: In capitals.
        kind: ``str``, ``int``, ``float`` or ``bool``.
        default: As Python text.
        help: What it is.
    """

    name: str
    kind: str
    default: str
    help: str


def notebook_parameters(path: str | os.PathLike[str]) -> dict[str, Parameter]:
    """Return a notebook's parameters by name, in order.

    Raises:
        MissingExtraError: papermill is not installed.
    """
    try:
        import papermill
    except ImportError as error:
        raise MissingExtraError("a notebook's parameters", extra="notebooks") from error
    return {
        name: Parameter(name, one["inferred_type_name"], one["default"], one["help"])
        for name, one in papermill.inspect_notebook(os.fspath(path)).items()
    }


def parse_parameters(pairs: Iterable[str], known: dict[str, Parameter]) -> dict[str, Any]:
    """Return values by name.

    Args:
        pairs: ``KEY=VALUE`` each; the key in any case.
        known: What `notebook_parameters` returned.

    Raises:
        ConfigError: A pair is none, names no parameter, or its value has the wrong type.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not sign:
            raise ConfigError(f"{pair!r} is no KEY=VALUE", remedy=f"write {pair}=VALUE")
        parameter = known.get(name.strip().upper())
        if parameter is None:
            raise ConfigError(
                f"the notebook has no parameter {name.strip()}",
                remedy=f"its parameters are: {', '.join(known)}",
            )
        values[parameter.name] = _typed(parameter, text)
    return values


def _typed(parameter: Parameter, text: str) -> str | int | float | bool:
    try:
        if parameter.kind == "bool":
            return _BOOLS[text.strip().lower()]
        if parameter.kind == "int":
            return int(text)
        if parameter.kind == "float":
            return float(text)
    except (KeyError, ValueError):
        kinds = {"bool": "true or false", "int": "a whole number", "float": "a number"}
        raise ConfigError(
            f"{parameter.name}={text} is not {kinds[parameter.kind]}",
            remedy=f"{parameter.name}: {parameter.help}",
        ) from None
    return text
