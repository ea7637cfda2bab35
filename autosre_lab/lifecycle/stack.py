"""Start, stop and look at the stack, wherever it runs. The two places do the work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, overload

from autosre_lab.errors import ConfigError
from autosre_lab.lifecycle.drift import warn_at_start
from autosre_lab.lifecycle.place import last_place, place_for, remember_place

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import Stack, StackStatus

__all__ = ["start", "status", "stop", "switch", "wait_ready"]


@overload
def start(
    recipe: Recipe | str | os.PathLike[str] | None = None,
    *,
    place: str | None = None,
    engine_port: int | None = None,
    proxy_port: int | None = None,
    dedicated: bool = False,
    wait: Literal[True] = True,
    timeout_s: float | None = None,
) -> Stack: ...


@overload
def start(
    recipe: Recipe | str | os.PathLike[str] | None = None,
    *,
    place: str | None = None,
    engine_port: int | None = None,
    proxy_port: int | None = None,
    dedicated: bool = False,
    wait: Literal[False],
    timeout_s: float | None = None,
) -> StackStatus: ...


def start(
    recipe: Recipe | str | os.PathLike[str] | None = None,
    *,
    place: str | None = None,
    engine_port: int | None = None,
    proxy_port: int | None = None,
    dedicated: bool = False,
    wait: bool = True,
    timeout_s: float | None = None,
) -> Stack | StackStatus:
    """Start engine and proxy; where they run already, do nothing.

    Args:
        recipe: What to serve; a name, a path or a loaded recipe. The setting `recipe` by default.
        place: ``local`` (processes of this machine) or ``cluster`` (Pods). By default the setting
            `place`, and with that on ``auto`` what the recipe has: `runtime:` means local.
        engine_port: vLLM's port, for local processes; a Pod's is the recipe's.
        proxy_port: The proxy's port, likewise.
        dedicated: In a cluster, scale to zero whatever else holds the GPU; `stop` restores it.
        wait: Return when a token has been generated; else as soon as everything is on its way.
        timeout_s: Seconds to wait for that; the setting `ready_timeout_s` by default.

    Returns:
        The stack, or with ``wait=False`` its status.

    Raises:
        RecipeError: The recipe cannot be run there.
        StackBusyError: Another recipe's stack runs there; `switch` replaces it.
        PortTakenError: A port that was asked for is taken.
        ProvisionError: Something could not be installed.
        EngineError: It ended instead of becoming ready, or took too long.
        ClusterError: The cluster cannot run it, or somebody else is at work there.
    """
    loaded = _loaded(recipe)
    where = place_for(loaded, place)
    if where == "local":
        from autosre_lab import local

        if dedicated:
            raise ConfigError(
                "local processes cannot take the GPU from others",
                remedy="stop what uses it by hand, or give --place cluster",
            )
        remember_place(where)
        if not wait:
            return local.start(
                loaded,
                engine_port=engine_port,
                proxy_port=proxy_port,
                wait=False,
                timeout_s=timeout_s,
            )
        stack = local.start(
            loaded, engine_port=engine_port, proxy_port=proxy_port, timeout_s=timeout_s
        )
        warn_at_start(loaded, where)
        return stack
    if engine_port or proxy_port:
        raise ConfigError(
            "ports are the recipe's and the chart's in a cluster",
            remedy="leave --engine-port and --proxy-port out, or set network.port in the recipe",
        )
    from autosre_lab import cluster

    remember_place(where)
    if not wait:
        return cluster.start(loaded, dedicated=dedicated, wait=False)
    stack = cluster.start(loaded, dedicated=dedicated, timeout_s=timeout_s)
    warn_at_start(loaded, where)
    return stack


def switch(
    recipe: Recipe | str | os.PathLike[str],
    *,
    place: str | None = None,
    timeout_s: float | None = None,
) -> Stack:
    """Serve another recipe in the place of the one that runs.

    In a cluster the proxies stay: requests meanwhile get 503 with Retry-After, which Claude Code
    tries again, and if the new recipe does not come up the old one is started again.

    Args:
        recipe: What to serve from now on.
        place: As for `start`.
        timeout_s: Seconds to wait for the new engine's first token.

    Raises:
        AutosreError: As for `start`.
    """
    loaded = _loaded(recipe)
    where = place_for(loaded, place)
    remember_place(where)
    if where == "local":
        from autosre_lab import local

        running = local.status()
        if running.recipe_name not in (None, loaded.name):
            local.stop()
        return local.start(loaded, timeout_s=timeout_s)
    from autosre_lab import cluster

    stack = cluster.switch(loaded, timeout_s=timeout_s)
    warn_at_start(loaded, where)
    return stack


def stop(*, place: str | None = None, timeout_s: float = 60.0) -> StackStatus:
    """End the stack; one that does not run is fine.

    In a cluster the Deployments stay, at zero replicas: returned is what is left when no Pod and
    no process is left.

    Args:
        place: Where; by default where the last stack was started.
        timeout_s: Seconds each service has to end by itself.
    """
    if last_place(place) == "local":
        from autosre_lab import local

        return local.stop(timeout_s=timeout_s)
    from autosre_lab import cluster

    return cluster.stop(timeout_s=timeout_s)


def status(*, place: str | None = None) -> StackStatus:
    """Return the stack as it is now; starts nothing, ends nothing.

    Args:
        place: Where; by default where the last stack was started.
    """
    if last_place(place) == "local":
        from autosre_lab import local

        return local.status()
    from autosre_lab import cluster

    return cluster.status()


def wait_ready(*, place: str | None = None, timeout_s: float | None = None) -> Stack:
    """Wait until the stack that was started has generated a token, through the proxy too.

    Args:
        place: Where; by default where the last stack was started.
        timeout_s: Seconds; the setting `ready_timeout_s` by default.

    Raises:
        NotReadyError: Nothing was started, or it took too long.
        AutosreError: A service ended instead.
    """
    if last_place(place) == "local":
        from autosre_lab import local

        return local.wait_ready(timeout_s=timeout_s)
    from autosre_lab import cluster

    return cluster.wait_ready(timeout_s=timeout_s)


def _loaded(recipe: Recipe | str | os.PathLike[str] | None) -> Recipe:
    from autosre_lab.recipe import load_recipe
    from autosre_lab.settings import load_settings

    chosen = recipe if recipe is not None else load_settings().recipe
    return load_recipe(chosen) if isinstance(chosen, (str, os.PathLike)) else chosen
