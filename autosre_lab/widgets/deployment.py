"""What a deployment looks like before and after, as tables: the twins of the deploy panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autosre_lab.errors import MissingExtraError
from autosre_lab.lifecycle import Change, find_changes, find_drift, preflight
from autosre_lab.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    import pandas

    from autosre_lab.parity import DriftReport

__all__ = ["change_table", "check_rows", "check_table", "drift_table"]

CHECK_COLUMNS = ("state", "looked at", "seen", "what to do")


def check_rows(recipe: Recipe, *, place: str | None = None) -> list[tuple[str, str, str, str]]:
    """Return what stands in the way of a start, as rows of `CHECK_COLUMNS`.

    Args:
        recipe: What is to be started.
        place: Where; as for `autosre_lab.start`.

    Raises:
        RecipeError: It cannot be started there.
    """
    marks = {"ok": "✓", "warn": "!", "fail": "✗", "unknown": "?"}
    return [
        (f"{marks[one.state]} {one.state}", one.name, one.message, one.remedy)
        for one in preflight(recipe, place=place).checks
    ]


def check_table(recipe: Recipe | str, *, place: str | None = None) -> pandas.DataFrame:
    """Return the preflight of a start: the linter, and everything that it needs where it runs.

    Returns:
        Columns ``state``, ``looked at``, ``seen``, ``what to do``.

    Raises:
        RecipeError: There is no such recipe, or it cannot be started there.
    """
    chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
    return _frame(check_rows(chosen, place=place), CHECK_COLUMNS)


def change_table(recipe: Recipe | str, *, place: str | None = None) -> pandas.DataFrame:
    """Return what a start would change of what runs; see `autosre_lab.lifecycle.find_changes`.

    Returns:
        A row a part: ``part``, ``change`` (``no change``, ``new``, ``taken away``, or how many
        lines go and come), ``diff``.
    """
    chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
    rows = [
        (one.part, how_much(one), "\n".join(one.diff()))
        for one in find_changes(chosen, place=place)
    ]
    return _frame(rows, ("part", "change", "diff"))


def how_much(change: Change) -> str:
    """Return in words how large a change is."""
    if change.unread:
        return f"cannot be told: {change.unread}"
    if not change.differs:
        return "no change"
    if not change.before:
        return "new"
    if not change.after:
        return "taken away"
    lines = change.diff()[2:]  # after the names of the two sides
    gone = sum(line.startswith("-") for line in lines)
    added = sum(line.startswith("+") for line in lines)
    return f"lines: {gone} fewer, {added} more"


def drift_table(report: DriftReport | None = None, *, place: str | None = None) -> pandas.DataFrame:
    """Return how what runs differs from its recipe, a row a difference; empty where it does not.

    Args:
        report: What was found already; looked for now by default.
        place: Where the stack is.

    Raises:
        NotReadyError: Nothing was started.
    """
    found = report or find_drift(place=place)
    return found.to_dataframe()


def _frame(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> pandas.DataFrame:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("tables", extra="notebooks") from error
    return pandas.DataFrame(list(rows), columns=list(columns))
