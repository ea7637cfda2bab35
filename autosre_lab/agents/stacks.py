"""The stack that a session runs on: the one that runs, one to start, or one to assume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autosre_lab.agents.launch import Browser, Endpoint
from autosre_lab.errors import RecipeError
from autosre_lab.settings import load_settings

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import Stack

__all__ = ["browser_for", "check_recipe", "find_or_assume", "find_or_start", "recipe_of"]


def check_recipe(recipe: str | None) -> None:
    """Refuse a recipe that cannot be read, before anything is installed for it.

    Raises:
        RecipeError: It is not there, or it is no recipe.
    """
    from autosre_lab.recipe import load_recipe

    if recipe is not None:
        load_recipe(recipe)


def find_or_start(recipe: str | None, environ: Mapping[str, str]) -> Stack:
    """Return the stack that runs, or start it.

    Args:
        recipe: What was asked for; None takes what runs.
        environ: The user's environment.
    """
    from autosre_lab.lifecycle import start, status, wait_ready

    wanted = recipe or environ.get("AUTOSRE_RECIPE")
    if wanted is None and status().state in ("ready", "starting"):
        return wait_ready()
    return start(wanted or load_settings(environ).recipe)


def browser_for(servers: Sequence[str], environ: Mapping[str, str]) -> Browser | None:
    """Return the Pod that a session's browser tools drive; None leaves them as they are set.

    Whoever has set ``AUTOSRE_BROWSER_URL`` has chosen: in the environment, where empty means a
    local Chromium, or in the settings file.
    """
    if "browser" not in servers or "AUTOSRE_BROWSER_URL" in environ:
        return None
    if load_settings(environ).browser_url:
        return None
    from autosre_lab.lifecycle import stack_browser

    return stack_browser()


def recipe_of(stack: Stack) -> Recipe | None:
    """Return the recipe a stack serves; None where its file has gone since it was started."""
    from autosre_lab.recipe import load_recipe

    try:
        return load_recipe(stack.recipe_name)
    except RecipeError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assumed:
    """A stack as its recipe would make it, for a dry run while nothing runs."""

    proxy_url: str
    model: str
    max_model_len: int
    token: str = ""


def find_or_assume(
    recipe: str | None, environ: Mapping[str, str]
) -> tuple[Endpoint, Recipe | None, bool]:
    """Return the stack that runs, or what one would be, for a dry run.

    Returns:
        The stack, its recipe, and whether it runs.
    """
    from autosre_lab.lifecycle import status, wait_ready
    from autosre_lab.recipe import load_recipe

    settings = load_settings(environ)
    wanted = recipe or environ.get("AUTOSRE_RECIPE")
    running = status()
    if running.state == "ready" and wanted in (None, running.recipe_name):
        stack = wait_ready()
        return stack, recipe_of(stack), True
    loaded = load_recipe(wanted or settings.recipe)
    assumed = _Assumed(
        proxy_url=f"http://127.0.0.1:{settings.proxy_port or 8011}",
        model=loaded.model.served_names[0],
        max_model_len=loaded.model.context,
    )
    return assumed, loaded, False
