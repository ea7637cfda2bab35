"""What a look at a place found: one line each, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from autosre_lab.cards import Card

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["Check", "PreflightReport", "State", "fail", "ok", "recipe_checks", "unknown", "warn"]

State = Literal["ok", "warn", "fail", "unknown"]

_SIGNS: dict[State, str] = {"ok": "✓", "warn": "!", "fail": "✗", "unknown": "?"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at, in a word or two.
        state: ``fail`` stands in the way of a start; ``unknown`` could not be looked at.
        message: What was seen.
        remedy: What to do about it; empty where it is in order.
    """

    name: str
    state: State
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightReport:
    """All findings about one recipe in one place.

    Attributes:
        recipe: The recipe's name.
        checks: In the order in which they were looked at.
    """

    recipe: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is known to stand in the way."""
        return not any(check.state == "fail" for check in self.checks)

    def as_text(self) -> str:
        """Return the findings as lines, each remedy below what it fixes."""
        width = max((len(check.name) for check in self.checks), default=0)
        lines = []
        for check in self.checks:
            lines.append(f"{_SIGNS[check.state]} {check.name:{width}}  {check.message}")
            if check.remedy:
                lines.append(f"  {'':{width}}  what to do: {check.remedy}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the findings as plain data."""
        checks = [asdict(check) for check in self.checks]
        return {"recipe": self.recipe, "passed": self.passed, "checks": checks}

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        failed = sum(check.state == "fail" for check in self.checks)
        return f"<PreflightReport {self.recipe}: {len(self.checks)} checks, {failed} failed>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        rows = [
            (f"{_SIGNS[one.state]} {one.state}", one.name, one.message, one.remedy)
            for one in self.checks
        ]
        return Card(
            title=f"{self.recipe}: {'nothing' if self.passed else 'something'} stands in the way",
            head=("", "looked at", "seen", "what to do"),
            rows=rows,
        ).mimebundle()


def recipe_checks(recipe: Recipe) -> list[Check]:
    """Return what the linter finds in a recipe; one line where it finds nothing."""
    from autosre_lab.recipe import lint_recipe

    states: dict[str, State] = {"error": "fail", "warning": "warn"}
    return [
        Check(
            name=f"recipe: {one.key}",
            state=states[one.severity],
            message=one.message,
            remedy=one.remedy,
        )
        for one in lint_recipe(recipe)
    ] or [ok("recipe", f"vLLM {recipe.vllm_version} knows all of it")]


def ok(name: str, message: str) -> Check:
    """Return a finding that is in order."""
    return Check(name=name, state="ok", message=message)


def warn(name: str, message: str, remedy: str) -> Check:
    """Return a finding that may do harm."""
    return Check(name=name, state="warn", message=message, remedy=remedy)


def fail(name: str, message: str, remedy: str) -> Check:
    """Return a finding that stands in the way."""
    return Check(name=name, state="fail", message=message, remedy=remedy)


def unknown(name: str, message: str, remedy: str) -> Check:
    """Return a finding that is unknown."""
    return Check(name=name, state="unknown", message=message, remedy=remedy)
