"""The stack that a session runs on: the one that runs, one to start, or one to assume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from autosre_lab.agents.launch import Browser, Endpoint
from autosre_lab.errors import ConfigError, RecipeError, RemoteError
from autosre_lab.settings import load_settings

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import Stack

__all__ = [
    "browser_for",
    "check_recipe",
    "find_elsewhere",
    "find_or_assume",
    "find_or_start",
    "recipe_of",
]


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


def find_elsewhere(url: str, environ: Mapping[str, str]) -> Stack:
    """Return a stack that runs elsewhere, as its proxy tells of it; nothing is started.

    Args:
        url: The proxy's base URL.
        environ: The user's environment, with the proxy's token as AUTOSRE_PROXY_TOKEN.

    Raises:
        ConfigError: It is no http address.
        RemoteError: It does not answer, wants a token, or is something else.
    """
    import httpx

    from autosre_lab.stack import Stack

    base = url.rstrip("/").removesuffix("/v1")
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"--url {url!r} is no address", remedy="give http://HOST:8011")
    if parts.username or parts.password:
        raise ConfigError(
            f"--url of {parts.hostname} has a user or a password in it, which every user of this "
            "machine could read",
            remedy="give http://HOST:8011, and the token as AUTOSRE_PROXY_TOKEN",
        )
    token = environ.get("AUTOSRE_PROXY_TOKEN", "")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        said = httpx.get(f"{base}/v1/models", headers=headers, timeout=30.0)
    except httpx.HTTPError as error:
        raise RemoteError(
            f"{base} does not answer: {error}",
            remedy="is the stack ready there (`autosre status`), and does its proxy listen beyond "
            "loopback? over SSH: ssh -L 8011:127.0.0.1:8011 HOST, then --url http://127.0.0.1:8011",
            status=0,
            body="",
        ) from error
    if said.status_code in (401, 403):
        raise RemoteError(
            f"{base} {'refuses the' if token else 'wants a'} token ({said.status_code})",
            remedy="export AUTOSRE_PROXY_TOKEN=… as the proxy there was given it",
            status=said.status_code,
            body=said.text[:2000],
        )
    try:
        model = said.json()["data"][0]
        name, window = str(model["id"]), int(model["max_model_len"])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise RemoteError(
            f"{base}/v1/models answered {said.status_code} and names no model with its window",
            remedy="give the address of an autosre proxy, not of an engine or of something else",
            status=said.status_code,
            body=said.text[:2000],
        ) from error
    return Stack(
        recipe_name=name,
        engine_url="",
        proxy_url=base,
        token=token,
        model=name,
        max_model_len=window,
        log_dir=None,
        request_log=None,
        was_running=True,
    )


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
