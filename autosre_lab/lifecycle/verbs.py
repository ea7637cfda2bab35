"""What can be done with the stack, wherever it runs: the `Place` does it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from autosre_lab.errors import NotReadyError
from autosre_lab.lifecycle.place import last_place, place_for, remembered

if TYPE_CHECKING:
    from autosre_lab.cluster.browser_service import BrowserPod
    from autosre_lab.lifecycle.changes import Change
    from autosre_lab.metrics import LogFeed, Sources
    from autosre_lab.parity import DriftReport
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import PreflightReport, Stack, StackStatus

    RecipeLike: TypeAlias = Recipe | str | os.PathLike[str]

__all__ = [
    "find_changes",
    "find_drift",
    "preflight",
    "stack_browser",
    "stack_logs",
    "stack_sources",
    "start",
    "started_recipe",
    "status",
    "stop",
    "switch",
    "wait_ready",
    "warn_on_recipe_drift",
]


def start(
    recipe: RecipeLike | None = None,
    *,
    place: str | None = None,
    engine_port: int | None = None,
    proxy_port: int | None = None,
    dedicated: bool = False,
    wait: bool = True,
    timeout_s: float | None = None,
) -> Stack:
    """Start engine and proxy; where they run already, do nothing.

    What can be known before anything large is installed or changed is looked at first: see
    `preflight`. What differs from the recipe afterwards is warned of: see `find_drift`.

    Args:
        recipe: What to serve; a name, a path or a loaded recipe. The setting `recipe` by default.
        place: ``local`` (processes of this machine) or ``cluster`` (Pods). By default the setting
            `place`, and with that on ``auto`` what the recipe has: `runtime:` means local.
        engine_port: vLLM's port, for local processes; a Pod's is the recipe's.
        proxy_port: The proxy's port, likewise.
        dedicated: In a cluster, scale to zero whatever else holds the GPU; `stop` restores it.
        wait: Return when a token has been generated; else as soon as everything is on its way,
            with a stack that is not `ready` yet (`Stack.wait_ready` waits for that).
        timeout_s: Seconds to wait for that; the setting `ready_timeout_s` by default.

    Raises:
        RecipeError: The recipe cannot be run there.
        StackBusyError: Another recipe's stack runs there; `switch` replaces it.
        PortTakenError: A port that was asked for is taken.
        ProvisionError: Something could not be installed, or this machine cannot run it.
        EngineError: It ended instead of becoming ready, or took too long.
        ClusterError: The cluster cannot run it, or somebody else is at work there.
    """
    chosen = _loaded(recipe)
    where = place_for(chosen, place)
    with remembered(where):
        stack = where.start(
            chosen,
            engine_port=engine_port,
            proxy_port=proxy_port,
            dedicated=dedicated,
            wait=wait,
            timeout_s=timeout_s,
        )
    if wait:
        where.warn_on_drift(chosen)
    return stack


def switch(
    recipe: RecipeLike,
    *,
    place: str | None = None,
    timeout_s: float | None = None,
) -> Stack:
    """Serve another recipe in the place of the one that runs.

    The proxy stays: requests meanwhile get 503 with Retry-After, which Claude Code tries again.
    If the new recipe does not come up, the one before is started again and the error says so.

    Args:
        recipe: What to serve from now on.
        place: As for `start`.
        timeout_s: Seconds to wait for the new engine's first token.

    Raises:
        AutosreError: As for `start`.
    """
    chosen = _loaded(recipe)
    where = place_for(chosen, place)
    with remembered(where):
        stack = where.switch(chosen, timeout_s=timeout_s)
    where.warn_on_drift(chosen)
    return stack


def stop(*, place: str | None = None, timeout_s: float = 60.0) -> StackStatus:
    """End the stack; one that does not run is fine.

    In a cluster the Deployments stay, at zero replicas: returned is what is left when no Pod and
    no process is left.

    Args:
        place: Where; by default where the last stack was started.
        timeout_s: Seconds each service has to end by itself.
    """
    return last_place(place).stop(timeout_s=timeout_s)


def status(*, place: str | None = None) -> StackStatus:
    """Return the stack as it is now; starts nothing, ends nothing.

    Args:
        place: Where; by default where the last stack was started.
    """
    return last_place(place).status()


def wait_ready(*, place: str | None = None, timeout_s: float | None = None) -> Stack:
    """Wait until the stack that was started has generated a token, through the proxy too.

    Args:
        place: Where; by default where the last stack was started.
        timeout_s: Seconds; the setting `ready_timeout_s` by default.

    Raises:
        NotReadyError: Nothing was started, or it took too long.
        AutosreError: A service ended instead.
    """
    return last_place(place).wait_ready(timeout_s=timeout_s)


def started_recipe(*, place: str | None = None) -> Recipe | None:
    """Return the recipe that was started last, as it was then; None where nothing was.

    Args:
        place: Where; by default where the last stack was started.
    """
    return last_place(place).recipe()


def preflight(recipe: RecipeLike | None = None, *, place: str | None = None) -> PreflightReport:
    """Look at everything that a start needs; changes nothing, and raises for no finding.

    Args:
        recipe: What is to be started; the setting `recipe` by default.
        place: Where; as for `start`.

    Raises:
        RecipeError: There is no such recipe, or it cannot be started there at all.
        ClusterError: No cluster is configured.
    """
    chosen = _loaded(recipe)
    return place_for(chosen, place).preflight(chosen)


def find_changes(recipe: RecipeLike | None = None, *, place: str | None = None) -> list[Change]:
    """Return what a start of a recipe would change of what runs; nothing is changed by it.

    Args:
        recipe: What would be served; the setting `recipe` by default.
        place: Where; as for `start`.

    Returns:
        Locally the command line; in a cluster that, the chart's values and its objects.

    Raises:
        RecipeError: The recipe cannot be started there.
        ClusterError: The cluster cannot be asked.
    """
    chosen = _loaded(recipe)
    return place_for(chosen, place).changes(chosen)


def find_drift(
    recipe: RecipeLike | None = None, api_port: int | None = None, *, place: str | None = None
) -> DriftReport:
    """Return how the stack that runs differs from a recipe.

    Args:
        recipe: What should run; what was started last by default.
        api_port: Where the engine that is meant listens, if it is not the stack's.
        place: Where; by default where the last stack was started.

    Raises:
        NotReadyError: No recipe is named, and nothing was started.
        RecipeError: There is no such recipe.
    """
    where = last_place(place)
    return where.drift(_expected(recipe, where.recipe), api_port)


def warn_on_recipe_drift(
    recipe: RecipeLike | None = None,
    api_port: int | None = None,
    *,
    place: str | None = None,
    strict: bool = False,
) -> DriftReport:
    """Warn of each difference between the stack that runs and a recipe, as each start does.

    Args:
        recipe: What should run; what was started last by default.
        api_port: Where the engine that is meant listens, if it is not the stack's.
        place: Where; by default where the last stack was started.
        strict: Raise instead, as CI wants it.

    Raises:
        NotReadyError: No recipe is named, and nothing was started.
        DriftError: Only with ``strict``: something differs, or could not be compared.
    """
    where = last_place(place)
    chosen = _expected(recipe, where.recipe)
    if strict:
        report = where.drift(chosen, api_port)
        report.raise_if_drifted()
        return report
    return where.warn_on_drift(chosen, api_port)


def stack_sources(*, place: str | None = None, **other: Any) -> Sources:
    """Return what a feed polls of the stack: of its processes here, or of its Service and Pods.

    Args:
        place: Where to look; by default where the last stack was started.
        **other: Arguments of `Sources`, in the place of the stack's own.

    Raises:
        NotReadyError: No stack was started in the cluster. One of this machine may come later.
        ClusterError: The cluster cannot be asked.
    """
    return last_place(place).sources(**other)


def stack_logs(*, place: str | None = None, lines: int = 50) -> LogFeed:
    """Return the logs of the stack's services, from about their last lines on; close it.

    Args:
        place: Where to look; by default where the last stack was started.
        lines: So many of the last lines of each, or some more.

    Raises:
        NotReadyError: Nothing was started there.
        ClusterError: The cluster cannot be asked.
    """
    return last_place(place).logs(lines=lines)


def stack_browser(*, place: str | None = None) -> BrowserPod | None:
    """Return the browser's Pod; None where there is none and a local Chromium is to be started.

    Args:
        place: Where to look; by default where the last stack was started.

    Raises:
        ClusterError: The Pod's token is gone, or the cluster cannot be asked.
    """
    return last_place(place).browser()


def _loaded(recipe: RecipeLike | None) -> Recipe:
    from autosre_lab.recipe import load_recipe
    from autosre_lab.settings import load_settings

    chosen = recipe if recipe is not None else load_settings().recipe
    return load_recipe(chosen) if isinstance(chosen, (str, os.PathLike)) else chosen


def _expected(recipe: RecipeLike | None, started: Callable[[], Recipe | None]) -> Recipe:
    found = started() if recipe is None else _loaded(recipe)
    if found is None:
        raise NotReadyError(
            "nothing was started, so there is no recipe to compare with",
            remedy="name one: autosre drift RECIPE",
        )
    return found
