"""What all sections of a recipe share: strictness, and the shapes of their texts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from autosre_lab.recipe.frozen import frozen

__all__ = [
    "AbsolutePath",
    "ClusterIp",
    "Digest",
    "EnvName",
    "Quantity",
    "RecipeName",
    "Revision",
    "Section",
    "Text",
    "Texts",
    "Version",
    "problem",
]

Text = Annotated[str, StringConstraints(min_length=1)]
RecipeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Revision = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+(\.\d+)?[A-Za-z0-9.+-]*$")]
Quantity = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(m|[kMGT]i?|Ki)?$")]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/.*$")]
ClusterIp = Annotated[str, StringConstraints(pattern=r"^\d{1,3}(\.\d{1,3}){3}$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
# YAML has lists only; a tuple is what a frozen recipe can hold.
Texts = Annotated[tuple[Text, ...], Field(strict=False)]


class Section(BaseModel):
    """A part of a recipe: frozen, without unknown keys, without guessed types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    def model_post_init(self, _: Any, /) -> None:
        """Freeze what pydantic leaves open: the mappings and lists inside."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, (dict, list)):
                object.__setattr__(self, name, frozen(value))


def problem(message: str, remedy: str) -> PydanticCustomError:
    """Return what a validator raises: what is wrong, and what to do about it."""
    return PydanticCustomError(
        "recipe_problem", "{message}", {"message": message, "remedy": remedy}
    )
