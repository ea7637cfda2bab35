"""One way to ask for another form of a result: ``-o table|json|yaml|csv``, and ``--json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

__all__ = ["FORMATS", "Format", "output_option", "plain", "show", "table_text"]

Format = Literal["table", "json", "yaml", "csv"]
FORMATS: tuple[Format, ...] = ("table", "json", "yaml", "csv")

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def output_option(command: AnyFunction) -> AnyFunction:
    """Give a command ``-o/--output`` and ``--json``; it gets the form as ``output``."""
    command = click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="The form in which the result is printed.",
    )(command)
    return click.option(
        "--json", "output", flag_value="json", type=click.Choice(FORMATS), help="Short for -o json."
    )(command)


def show(result: object, *, output: Format, text: Callable[[], str], rows: object = None) -> None:
    """Print a result.

    Args:
        result: What it is made of: a mapping, or rows that are mappings; dataclasses, msgspec
            structs and paths inside are turned into plain values.
        output: The form that was asked for.
        text: Makes what a person reads.
        rows: What the rows of CSV are made of, where that is a part of the result.
    """
    if output == "table":
        click.echo(text())
        return
    data = plain(rows if output == "csv" and rows is not None else result)
    if output == "json":
        import json

        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif output == "yaml":
        from autosre_lab.recipe.yaml_text import yaml_text

        click.echo(yaml_text(data), nl=False)
    else:
        click.echo(csv_text(data), nl=False)


def csv_text(data: object) -> str:
    """Return rows as comma-separated values; a mapping is one row, nested names get dots."""
    import csv
    import io

    rows = [_flat(row) for row in (data if isinstance(data, list) else [data])]
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _flat(value: object, prefix: str = "") -> dict[str, object]:
    if isinstance(value, Mapping):
        flat: dict[str, object] = {}
        for name, inner in value.items():
            flat |= _flat(inner, f"{prefix}.{name}" if prefix else str(name))
        return flat
    if isinstance(value, list):
        return {prefix or "value": "; ".join(str(one) for one in value)}
    return {prefix or "value": value}


def plain(value: Any) -> Any:
    """Return a value made of mappings, lists, texts and numbers alone."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if names := getattr(type(value), "__struct_fields__", None):
        return {name: plain(getattr(value, name)) for name in names}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def table_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as columns; the first row's names are the head."""
    if not rows:
        return "none"
    head = list(rows[0])
    cells = [head, *([_cell(row.get(name)) for name in head] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _cell(value: object) -> str:
    return "" if value is None else str(value)
