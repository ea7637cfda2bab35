"""What a comparison found, as rows that a person, a notebook and CI can read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from autosre_lab.cards import Card
from autosre_lab.errors import DriftError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DriftReport", "DriftRow", "DriftWarning", "Layer"]

Layer = Literal["objects", "process", "environment", "image", "hook"]

EXIT_UNKNOWN = 3
EXIT_DRIFT = 4

_WIDTHS = {"subject": 48, "expected": 32, "live": 32}


class DriftWarning(UserWarning):
    """What runs is not what the recipe would run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRow:
    """One difference, or one thing that could not be compared.

    Attributes:
        layer: Where it was found.
        subject: A flag, a variable, an object's path, a file.
        expected: What the recipe says; None where it says nothing.
        live: What is there; None where nothing is, or nobody knows.
        severity: ``unknown``: it could not be compared.
        why: Why it matters, or why it is unknown.
    """

    layer: Layer
    subject: str
    expected: str | None
    live: str | None
    severity: Literal["error", "warn", "unknown"]
    why: str

    def __str__(self) -> str:
        if self.severity == "unknown":
            return f"{self.layer}: {self.subject} could not be compared: {self.why}"
        return (
            f"{self.layer}: {self.subject} is {_side(self.live)}, the recipe says "
            f"{_side(self.expected)}: {self.why}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """What a comparison found.

    Attributes:
        recipe_name: What should run.
        place: Where it was looked for.
        engine: The process or Pod that was compared; empty where none was found.
        layers: What was looked at.
        rows: The worst first.
    """

    recipe_name: str
    place: Literal["local", "cluster"]
    engine: str
    layers: tuple[Layer, ...]
    rows: tuple[DriftRow, ...]

    @property
    def drifted(self) -> tuple[DriftRow, ...]:
        """The differences."""
        return tuple(row for row in self.rows if row.severity != "unknown")

    @property
    def unknown(self) -> tuple[DriftRow, ...]:
        """What could not be compared."""
        return tuple(row for row in self.rows if row.severity == "unknown")

    @property
    def ok(self) -> bool:
        """Whether all was compared and nothing differs."""
        return not self.rows

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 0, or 4 for a difference where that is an error, or 3 where it is unknown."""
        if self.drifted:
            return EXIT_DRIFT if strict else 0
        return EXIT_UNKNOWN if self.unknown else 0

    def raise_if_drifted(self) -> None:
        """Raise where anything differs or could not be compared.

        Raises:
            DriftError: With a line for each row.
        """
        if self.ok:
            return
        lines = "".join(f"\n  - {row}" for row in self.rows)
        raise DriftError(
            f"{self.summary}{lines}",
            remedy=f"restart {self.recipe_name}, or change the recipe to match what is running"
            if self.drifted
            else "fix what keeps the stack from being read, then compare again",
        )

    @property
    def summary(self) -> str:
        """One line."""
        if self.ok:
            return f"{self._subject}: no drift ({', '.join(self.layers)} compared)"
        parts = []
        if self.drifted:
            errors = sum(row.severity == "error" for row in self.drifted)
            parts.append(f"{len(self.drifted)} differences, {errors} of them errors")
        if self.unknown:
            parts.append(f"{len(self.unknown)} not comparable")
        return f"{self._subject}: {'; '.join(parts)}"

    def __repr__(self) -> str:
        return f"<DriftReport {self.summary}>"

    @property
    def _subject(self) -> str:
        return f"{self.recipe_name}, {self.engine}" if self.engine else self.recipe_name

    def table(self) -> str:
        """Return the rows as plain text."""
        if not self.rows:
            return self.summary
        names = ("severity", "layer", "subject", "expected", "live", "why")
        lines = [names, *(tuple(_cell(row, name) for name in names) for row in self.rows)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(names) - 1)]
        shown = [
            "  ".join((*(f"{line[at]:{width}}" for at, width in enumerate(widths)), line[-1]))
            for line in lines
        ]
        return "\n".join((*shown, self.summary))

    def to_json(self) -> dict[str, Any]:
        """Return all of it as values that JSON can carry."""
        return {
            "recipe": self.recipe_name,
            "place": self.place,
            "engine": self.engine,
            "layers": list(self.layers),
            "drifted": len(self.drifted),
            "unknown": len(self.unknown),
            "rows": [asdict(row) for row in self.rows],
        }

    def to_dataframe(self) -> pd.DataFrame:
        """Return a row for each row.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("a drift report as a DataFrame", extra="notebooks") from error
        columns = [field.name for field in fields(DriftRow)]
        return pd.DataFrame([asdict(row) for row in self.rows], columns=columns)

    def __str__(self) -> str:
        return self.table()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        names = ("severity", "layer", "subject", "expected", "live", "why")
        rows = [[str(getattr(row, name) or "-") for name in names] for row in self.rows]
        head = ("severity", "layer", "subject", "recipe", "live", "why")
        return Card(title=self.summary, head=head if rows else (), rows=rows).mimebundle()


def sorted_rows(rows: Iterable[DriftRow]) -> tuple[DriftRow, ...]:
    """Return rows with the worst first, else as found."""
    order = {"error": 0, "unknown": 1, "warn": 2}
    return tuple(sorted(rows, key=lambda row: order[row.severity]))


def _side(text: str | None) -> str:
    return "not there" if text is None else repr(text) if text else "empty"


def _cell(row: DriftRow, name: str) -> str:
    value = getattr(row, name)
    text = "-" if value is None else str(value).replace("\n", " ")
    width = _WIDTHS.get(name)
    if width is None or len(text) <= width:
        return text
    # The end of a path says more than its middle.
    kept = width // 3 if name == "subject" else width - 1
    return f"{text[:kept]}…{text[len(text) - (width - 1 - kept) :]}"
