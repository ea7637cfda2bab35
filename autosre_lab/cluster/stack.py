"""The stack in a cluster: started, switched, stopped; one operator at a time, and no half-way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autosre_lab.cluster.deploying import (
    deploy,
    end_of,
    patience_for,
    ready_engine,
    restore_displaced,
    running_recipe,
    until_ready,
)
from autosre_lab.cluster.gone import scale
from autosre_lab.cluster.lease import hold_lease
from autosre_lab.cluster.options import configured_client
from autosre_lab.cluster.release import (
    BROWSER,
    CODEX_PROXY,
    ENGINE,
    PROXY,
    ensure_namespace,
    is_ours,
    read_release,
    read_token,
)
from autosre_lab.cluster.stack_status import read_status, with_cause
from autosre_lab.errors import ClusterError, NotReadyError, StackBusyError
from autosre_lab.progress import step
from autosre_lab.recipe import Recipe
from autosre_lab.stack import Stack, StackStatus

if TYPE_CHECKING:
    from autosre_lab.cluster.kube import KubeClient

__all__ = ["start", "status", "stop", "switch", "wait_ready"]

CONFIRM_S = 5.0


def start(
    recipe: Recipe,
    *,
    client: KubeClient | None = None,
    dedicated: bool = False,
    wait: bool = True,
    timeout_s: float | None = None,
) -> Stack:
    """Deploy a recipe and wait for its first token; where it runs already, do nothing.

    Args:
        recipe: What to serve.
        client: The cluster; the settings' by default.
        dedicated: Scale to zero whatever else holds the GPU; `stop` restores it.
        wait: Return when a token has come through the proxy; else when all is applied, with a
            stack that is not ready yet.
        timeout_s: Seconds for that; the larger of the setting and the recipe's budget by default.

    Raises:
        StackBusyError: Another recipe runs; `switch` replaces it.
        LeaseHeldError: Somebody else is at work.
        ClusterError: The cluster lacks something, or the Pods do not become ready.
        NotReadyError: It took too long.
    """
    kube = client or configured_client()
    ensure_namespace(kube)
    with hold_lease(kube, f"start {recipe.name}") as lease:
        running = running_recipe(kube)
        if running not in (None, recipe.name):
            raise StackBusyError(
                f"recipe {running} runs in namespace {kube.namespace}",
                remedy=f"replace it: autosre switch {recipe.name}; or end it: autosre stop",
            )
        stack = deploy(
            kube,
            recipe,
            lease,
            dedicated=dedicated,
            wait=wait,
            patience_s=patience_for(recipe, timeout_s),
        )
    return replace(stack, was_running=running is not None)


def switch(
    recipe: Recipe, *, client: KubeClient | None = None, timeout_s: float | None = None
) -> Stack:
    """Serve another recipe: the proxies stay and answer 503 with Retry-After meanwhile.

    If the new recipe does not come up, the one before is started again and the error says so.

    Args:
        recipe: What to serve from now on.
        client: The cluster; the settings' by default.
        timeout_s: As for `start`.

    Raises:
        AutosreError: As for `start`, with what became of the recipe before.
    """
    kube = client or configured_client()
    ensure_namespace(kube)
    with hold_lease(kube, f"switch to {recipe.name}") as lease:
        return deploy(
            kube,
            recipe,
            lease,
            dedicated=False,
            wait=True,
            patience_s=patience_for(recipe, timeout_s),
        )


def stop(*, client: KubeClient | None = None, timeout_s: float = 60.0) -> StackStatus:
    """Scale the stack to zero and wait until it is really gone; others get their GPU back.

    Args:
        client: The cluster; the settings' by default.
        timeout_s: Seconds beyond the Pods' own grace.

    Raises:
        LeaseHeldError: Somebody else is at work.
        NotGoneError: A Pod does not end.
    """
    kube = client or configured_client()
    if kube.get("Namespace", kube.namespace) is None:
        return read_status(kube)
    with hold_lease(kube, "stop"), step("Stop the stack") as bar:
        deployments = [
            name
            for name in (ENGINE, PROXY, CODEX_PROXY, BROWSER)
            if (live := kube.get("Deployment", name)) is not None and is_ours(live)
        ]
        for name in deployments:
            scale(kube, name, 0)
        for name in deployments:
            end_of(kube, name, bar, timeout_s)
        restore_displaced(kube)
    return read_status(kube)


def status(*, client: KubeClient | None = None) -> StackStatus:
    """Return the stack as it is now; changes nothing but the note that a token came."""
    kube = client or configured_client()
    found = read_status(kube)
    if found.state != "starting" or ready_engine(kube) is None:
        return found
    try:
        wait_ready(client=kube, timeout_s=CONFIRM_S)
    except (NotReadyError, ClusterError) as error:
        return with_cause(found, error)
    return read_status(kube)


def wait_ready(*, client: KubeClient | None = None, timeout_s: float | None = None) -> Stack:
    """Wait until what was deployed has generated a token, through the proxy too.

    Raises:
        NotReadyError: Nothing was started, or it took too long.
        ClusterError: A Pod cannot become ready.
    """
    kube = client or configured_client()
    release = read_release(kube)
    if release is None or read_status(kube).state in ("stopped", "stopping"):
        raise NotReadyError(
            f"no stack was started in namespace {kube.namespace}",
            remedy=f"start one: autosre start {release.recipe.name if release else 'RECIPE'} "
            "--place cluster",
        )
    token = read_token(kube)
    if token is None:
        raise ClusterError(
            "the Secret with the proxy's token is gone", remedy="start the stack again"
        )
    patience_s = patience_for(release.recipe, timeout_s)
    with step(f"Wait for {release.recipe.name}") as bar:
        return until_ready(kube, release.recipe, release.values, token, bar, patience_s)
