"""What may be turned in a recipe, and a recipe with something turned."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pydantic

from autosre_lab.errors import ConfigError, RecipeError
from autosre_lab.recipe import Recipe, lint_recipe, load_recipe, parse_recipe

__all__ = ["Knob", "Value", "apply_knobs", "combinations", "draw", "lint_faults", "suggested_knobs"]

Value = bool | int | float | str | None


class Knob(pydantic.BaseModel):
    """One setting and its values.

    Attributes:
        path: Where it stands in the recipe, with dots: ``engine.args.max-num-seqs``.
        values: What to try; null leaves the setting out.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    path: Annotated[str, pydantic.Field(pattern=r"^[a-z_]+(\.[A-Za-z0-9_-]+)+$")]
    values: Annotated[tuple[Value, ...], pydantic.Field(min_length=1)]


def apply_knobs(recipe: Recipe, values: Mapping[str, Value], *, name: str | None = None) -> Recipe:
    """Return a recipe with settings changed.

    Args:
        recipe: What to start from.
        values: By path; None leaves the setting out.
        name: Of the new recipe; the old one's by default.

    Raises:
        RecipeError: The result is no recipe.
        ConfigError: A path leads nowhere.
    """
    tree: dict[str, Any] = recipe.model_dump(by_alias=True, exclude_defaults=True)
    tree = {"schema": recipe.format, **tree}
    if name is not None:
        tree["name"] = name
    for path, value in values.items():
        *folders, leaf = path.split(".")
        node = tree
        for folder in folders:
            inner = node.setdefault(folder, {})
            if not isinstance(inner, dict):
                raise ConfigError(
                    f"{path} leads nowhere: {folder} is a value",
                    remedy="name a setting of the recipe, like engine.args.max-num-seqs",
                )
            node[folder] = dict(inner)
            node = node[folder]
        if value is None:
            node.pop(leaf, None)
        else:
            node[leaf] = value
    return parse_recipe(tree)


def lint_faults(recipe: Recipe) -> list[str]:
    """Return what lint calls an error: such a recipe is not started."""
    return [finding.message for finding in lint_recipe(recipe) if finding.severity == "error"]


def combinations(knobs: tuple[Knob, ...]) -> Iterator[dict[str, Value]]:
    """Yield every combination, the last knob turning fastest."""
    for values in itertools.product(*(knob.values for knob in knobs)):
        yield dict(zip((knob.path for knob in knobs), values, strict=True))


def draw(knobs: tuple[Knob, ...], rng: random.Random) -> dict[str, Value]:
    """Return one combination at random."""
    return {knob.path: rng.choice(knob.values) for knob in knobs}


def suggested_knobs(recipe: Recipe | str) -> tuple[Knob, ...]:
    """Return what is worth searching, what matters most first.

    On a box for few people the prefix cache decides; then the size of a step, which sets both the
    stall of a prefill and, on hybrid models, where the cache keeps its state. What is not known to
    give right answers is not among them: see `deferred_experiment`.

    Raises:
        RecipeError: There is no such recipe.
    """
    loaded = load_recipe(recipe) if isinstance(recipe, str) else recipe
    if loaded.runtime is not None and loaded.runtime.device != "cuda":
        return (
            Knob(path="latency.max_step_tokens", values=(256, 512, 1024, 2048)),
            Knob(path="engine.args.max-num-seqs", values=(2, 4, 8)),
        )
    knobs = [
        Knob(path="latency.max_step_tokens", values=(2048, 4096, 8192, 16384)),
        Knob(path="engine.args.max-num-seqs", values=(2, 4, 8)),
        Knob(path="engine.args.kv-cache-dtype", values=(None, "fp8")),
    ]
    for knob in knobs:
        try:
            apply_knobs(loaded, {knob.path: knob.values[-1]})
        except RecipeError:
            knobs.remove(knob)
    return tuple(knobs)
