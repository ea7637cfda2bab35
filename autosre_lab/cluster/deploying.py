"""Puts one release in the place of another; what fails takes back what it changed, no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from autosre_lab.chart.from_recipe import helm_values
from autosre_lab.chart.rendering import Object, render
from autosre_lab.cluster.application_gate import (
    UnreachableError,
    generate_tokens,
    service_url,
)
from autosre_lab.cluster.clock import parse_time
from autosre_lab.cluster.dedicated import dedicate, restore
from autosre_lab.cluster.gone import AFTER_GRACE_S, scale, wait_gone
from autosre_lab.cluster.gpu_gate import wait_gate
from autosre_lab.cluster.lease import HeldLease
from autosre_lab.cluster.memory_watchdog import watch_memory
from autosre_lab.cluster.node_probe import open_node_probe
from autosre_lab.cluster.options import chart_options
from autosre_lab.cluster.preflight_checks import preflight
from autosre_lab.cluster.release import (
    CODEX_PROXY,
    ENGINE,
    PROXY,
    Release,
    apply_release,
    engine_would_change,
    ensure_secrets,
    read_release,
    read_token,
)
from autosre_lab.cluster.rollout import take_snapshot, wait_rollout
from autosre_lab.cluster.stack_status import engine_identity, mark_ready
from autosre_lab.cluster.undo import Undo
from autosre_lab.engine.readiness import Phases, warm_up_sizes
from autosre_lab.errors import AutosreError, ClusterError, NotReadyError
from autosre_lab.logs import get_logger
from autosre_lab.progress import Step, step
from autosre_lab.recipe import Recipe
from autosre_lab.settings import load_settings
from autosre_lab.stack import Stack

if TYPE_CHECKING:
    from autosre_lab.cluster.kube import KubeClient
    from autosre_lab.cluster.node_probe import NodeProbe

__all__ = [
    "deploy",
    "end_of",
    "patience_for",
    "ready_engine",
    "restore_displaced",
    "running_recipe",
    "until_ready",
]

PROXY_READY_S = 180.0

logger = get_logger(__name__)


def deploy(
    kube: KubeClient,
    recipe: Recipe,
    lease: HeldLease,
    *,
    dedicated: bool,
    wait: bool,
    patience_s: float,
) -> Stack:
    """Make room, apply, wait for the first token; what fails is undone and told.

    Args:
        kube: The API server.
        recipe: What to serve.
        lease: Held by the caller meanwhile.
        dedicated: Scale to zero whatever else holds the GPU.
        wait: Return when a token has come; else as soon as all is applied.
        patience_s: Seconds until then.

    Raises:
        AutosreError: It does not come up; the message says what became of what ran before.
    """
    _require(recipe, kube)
    token = ensure_secrets(kube, browser=load_settings().browser_pod != "off")
    values = helm_values(recipe, chart_options(kube, recipe))
    objects = render(values, namespace=kube.namespace)
    runs = running_recipe(kube) is not None
    undo = Undo(kube, before=read_release(kube) if runs else None)
    if dedicated:
        dedicate(kube, recipe)
    elif not runs:
        restore_displaced(kube)  # an operator that crashed may have left others at zero
    try:
        with step(f"Start {recipe.name}") as bar:
            if not runs or engine_would_change(kube, objects):
                undo.engine_changed = True
                _make_room(kube, recipe, bar)
            lease.check()
            undo.applied = True
            apply_release(kube, objects)
            if not wait:
                return _unproven(kube, recipe, values, token)
            with _watched_memory(kube, recipe) as check:
                return until_ready(
                    kube, recipe, values, token, bar, patience_s, check=_both(lease.check, check)
                )
    except KeyboardInterrupt:
        given_back = _give_back(kube) if dedicated and not undo.applied else ""
        logger.warning("%s%s", undo.interrupted(), given_back)
        raise
    except AutosreError as error:
        if lease.lost.is_set():
            error.message += "\n  nothing was put back: somebody else may be at work"
        elif isinstance(error, UnreachableError):
            error.message += "\n  what was applied stays: nothing says that it is not well"
        else:
            error.message += undo.run(_runs_again(kube, token))
            if dedicated:
                error.message += _give_back(kube)
        error.args = (error.message, *error.args[1:])
        raise


def _runs_again(kube: KubeClient, token: str) -> Callable[[Release], None]:
    """Return what waits for the recipe that ran before."""

    def wait(before: Release) -> None:
        with step(f"Go back to {before.recipe.name}") as bar:
            end_of(kube, ENGINE, bar)
            apply_release(kube, render(before.values, namespace=kube.namespace))
            patience_s = patience_for(before.recipe, None)
            until_ready(kube, before.recipe, before.values, token, bar, patience_s)

    return wait


def restore_displaced(kube: KubeClient) -> None:
    """Restore whom dedicated mode displaced, and say who is left as somebody else wants it."""
    for line in restore(kube):
        logger.warning("not restored: %s", line)


def _give_back(kube: KubeClient) -> str:
    """Restore whom dedicated mode displaced; returns what to tell about it."""
    try:
        left = restore(kube)
    except AutosreError as error:
        return f"\n  others could not be given the GPU back: {error.message}"
    return "".join(f"\n  not restored: {line}" for line in left)


def until_ready(
    kube: KubeClient,
    recipe: Recipe,
    values: Mapping[str, Any],
    token: str,
    bar: Step,
    patience_s: float,
    *,
    check: Callable[[], None] = lambda: None,
) -> Stack:
    """Wait for the rollouts and for a token through engine and proxy, and note that it came.

    Raises:
        NotReadyError: Not in time.
        ClusterError: A Pod cannot become ready, or the Services cannot be reached from here.
    """
    deadline_s = time.monotonic() + patience_s
    proxies_s = time.monotonic() + PROXY_READY_S
    for name in (PROXY, CODEX_PROXY) if values["codexProxy"]["enabled"] else (PROXY,):
        wait_rollout(kube, name, deadline_s=proxies_s, tell=bar.note, check=check)
    wait_rollout(
        kube, ENGINE, deadline_s=deadline_s, tell=bar.note, check=check, phase=Phases().reached
    )
    identity = engine_identity(take_snapshot(kube, ENGINE))

    def still_there() -> str:
        check()
        if engine_identity(take_snapshot(kube, ENGINE)) != identity:
            wait_rollout(kube, ENGINE, deadline_s=deadline_s, tell=bar.note, phase=Phases().reached)
            raise NotReadyError(
                "the engine's container was replaced while its first token was awaited",
                remedy="see what ended it: kubectl logs deploy/autosre-vllm-local --previous",
            )
        return "a first token"

    readiness = generate_tokens(
        kube,
        values,
        token,
        bar,
        deadline_s=deadline_s,
        look=still_there,
        container_started=lambda: _container_started(kube),
        warm_up=warm_up_sizes(recipe.model.context) if recipe.model.kind != "dense" else (),
    )
    if readiness.first_token_s is not None:
        bar.note(f"first token {readiness.first_token_s:.1f} s after the container's start")
    if identity is not None:
        mark_ready(kube, identity)
    return replace(_unproven(kube, recipe, values, token), ready=True)


def _unproven(kube: KubeClient, recipe: Recipe, values: Mapping[str, Any], token: str) -> Stack:
    """Return the stack as its recipe and values make it, before a token has come."""
    return Stack(
        recipe_name=recipe.name,
        engine_url=service_url(values["vllm"]),
        proxy_url=service_url(values["proxy"]),
        token=token,
        model=recipe.served_name,
        max_model_len=recipe.model.context,
        log_dir=None,
        request_log=None,
        place="cluster",
        engine_key=read_token(kube, **values["vllm"]["keySecret"]),
        recipe=recipe,
        ready=False,
    )


def _make_room(kube: KubeClient, recipe: Recipe, bar: Step) -> None:
    """End the engine that runs, and pass the gate where the recipe has one."""
    if kube.get("Deployment", ENGINE) is not None:
        scale(kube, ENGINE, 0)
        end_of(kube, ENGINE, bar)
        # Applied over, fields that somebody edited by hand would stay: they have another owner.
        kube.delete("Deployment", ENGINE)
    if "gpu" in recipe.lifecycle.gates:
        with _node_probe(kube, recipe) as (node, probe):
            wait_gate(recipe, kube, node, probe, tell=bar.note)


def _require(recipe: Recipe, kube: KubeClient) -> None:
    report = preflight(recipe, kube)
    failed = [check for check in report.checks if check.state == "fail"]
    if failed:
        raise ClusterError(
            "the cluster cannot run this recipe: "
            + "; ".join(f"{check.name}: {check.message}" for check in failed),
            remedy="; ".join(dict.fromkeys(check.remedy for check in failed))
            + f" (all checks: autosre preflight {recipe.name})",
        )


def end_of(kube: KubeClient, name: str, bar: Step, beyond_s: float | None = None) -> None:
    """Wait until a Deployment's Pods are gone: their grace, and ``beyond_s`` if that is long."""
    deployment = kube.get("Deployment", name)
    patience_s = None
    if beyond_s is not None and deployment is not None:
        spec = deployment["spec"]["template"]["spec"]
        patience_s = float(spec.get("terminationGracePeriodSeconds", 30))
        patience_s += max(beyond_s, AFTER_GRACE_S)
    wait_gone(kube, name, tell=bar.note, patience_s=patience_s)


@contextmanager
def _node_probe(kube: KubeClient, recipe: Recipe) -> Iterator[tuple[Object, NodeProbe]]:
    from autosre_lab.chart.from_recipe import image_reference
    from autosre_lab.cluster.preflight_checks import target_node

    node = target_node(kube, recipe)
    gpu, image = recipe.resources.gpu, recipe.image
    with open_node_probe(
        kube,
        node,
        image=image_reference(image) if image is not None else "",
        runtime_class=gpu.runtime_class if gpu is not None else None,
    ) as probe:
        yield node, probe


@contextmanager
def _watched_memory(kube: KubeClient, recipe: Recipe) -> Iterator[Callable[[], None]]:
    """Watch the host's memory where the engine shares it with the GPU."""
    if recipe.resources.gpu is None or "gpu" not in recipe.lifecycle.gates:
        yield lambda: None
        return
    with (
        _node_probe(kube, recipe) as (_, probe),
        watch_memory(kube, ENGINE, probe) as watchdog,
    ):
        yield watchdog.check


def _both(one: Callable[[], None], other: Callable[[], None]) -> Callable[[], None]:
    def check() -> None:
        one()
        other()

    return check


def running_recipe(kube: KubeClient) -> str | None:
    """Return the recipe that is deployed with a replica; None where nothing is meant to run."""
    deployment = kube.get("Deployment", ENGINE)
    if deployment is None or not deployment["spec"].get("replicas", 1):
        return None
    release = read_release(kube)
    return release.recipe.name if release is not None else None


def ready_engine(kube: KubeClient) -> str | None:
    """Return which run of the engine's container is ready; None where none is."""
    deployment = kube.get("Deployment", ENGINE) or {}
    ready = (deployment.get("status") or {}).get("readyReplicas", 0)
    return engine_identity(take_snapshot(kube, ENGINE)) if ready else None


def _container_started(kube: KubeClient) -> datetime | None:
    for pod in take_snapshot(kube, ENGINE).pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            running = (container.get("state") or {}).get("running") or {}
            return parse_time(running.get("startedAt"))
    return None


def patience_for(recipe: Recipe, timeout_s: float | None) -> float:
    """Return how many seconds a start may take: as asked, else the recipe's own budget."""
    if timeout_s is not None:
        return timeout_s
    return min(load_settings().ready_timeout_s, float(recipe.lifecycle.startup_budget_s))
