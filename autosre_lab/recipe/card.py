"""A recipe as it is printed: what it serves, on what, and how far that was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.cards import Card

if TYPE_CHECKING:
    from autosre_lab.recipe.schema import Recipe

__all__ = ["recipe_card"]


def recipe_card(recipe: Recipe) -> Card:
    """Return what a person wants to know of a recipe before starting it."""
    rows = [
        ("model", recipe.model.repo),
        ("served as", ", ".join(recipe.model.served_names)),
        ("window", f"{recipe.model.context:,} tokens"),
        ("vLLM", recipe.vllm_version),
        ("runs", _places(recipe)),
        ("scheduler", _scheduler(recipe)),
    ]
    if recipe.latency.max_step_tokens is not None:
        rows.append(("step", f"{recipe.latency.max_step_tokens:,} tokens at most"))
    rows += [
        (f"--{name}", str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in recipe.engine.args.items()
    ]
    tried = [
        f"{one.state} on {one.hardware}, {one.date}: {one.evidence}" for one in recipe.verified
    ]
    rows.append(("tried", "\n".join(tried) or "nowhere yet"))
    return Card(title=f"{recipe.name}: {recipe.meta.description}", rows=rows)


def _places(recipe: Recipe) -> str:
    places = []
    if recipe.runtime is not None:
        places.append(f"as local processes ({recipe.runtime.device})")
    if recipe.image is not None:
        places.append("as Pods")
    return " or ".join(places)


def _scheduler(recipe: Recipe) -> str:
    scheduler = recipe.scheduler
    classes = ", ".join(f"{name} {value}" for name, value in scheduler.classes.items())
    hook = "; the hook makes those that run give way" * (scheduler.preemption.mode == "hook")
    return f"{scheduler.policy}{f' ({classes})' if classes else ''}{hook}"
