"""What lint says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a recipe that is wrong (error) or not as it should be (warning).

    Attributes:
        severity: An error keeps the engine from doing what the recipe says; a warning does not.
        key: The key path in the recipe.
        message: What is the matter.
        remedy: What to do, as an instruction.
    """

    severity: Literal["error", "warning"]
    key: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.key}: {self.message}\n  what to do: {self.remedy}"

    @classmethod
    def error(cls, key: str, message: str, remedy: str) -> Finding:
        """Return a finding that keeps the engine from doing what the recipe says."""
        return cls("error", key, message, remedy)

    @classmethod
    def warning(cls, key: str, message: str, remedy: str) -> Finding:
        """Return a finding that a person should know of."""
        return cls("warning", key, message, remedy)
