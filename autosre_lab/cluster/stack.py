"""The stack in a cluster: started, switched, stopped; one operator at a time, and no half-way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, overload

from autosre_lab.chart.from_recipe import helm_values
from autosre_lab.chart.rendering import Object, render
from autosre_lab.cluster.application_gate import generate_tokens, service_url
from autosre_lab.cluster.clock import parse_time
from autosre_lab.cluster.dedicated import dedicate, restore
from autosre_lab.cluster.gone import scale, wait_gone
from autosre_lab.cluster.gpu_gate import wait_gate
from autosre_lab.cluster.lease import HeldLease, hold_lease
from autosre_lab.cluster.memory_watchdog import watch_memory
from autosre_lab.cluster.node_probe import open_node_probe
from autosre_lab.cluster.options import chart_options, configured_client
from autosre_lab.cluster.preflight_checks import preflight
from autosre_lab.cluster.release import (
    ENGINE,
    PROXY,
    Release,
    apply_release,
    engine_would_change,
    ensure_namespace,
    ensure_token,
    read_release,
    read_token,
)
from autosre_lab.cluster.rollout import take_snapshot, wait_rollout
from autosre_lab.cluster.stack_status import engine_identity, look, mark_ready
from autosre_lab.engine.readiness import phase_of
from autosre_lab.engine.stack import Stack
from autosre_lab.engine.stack_status import StackStatus
from autosre_lab.errors import AutosreError, ClusterError, NotReadyError, StackBusyError
from autosre_lab.logs import get_logger
from autosre_lab.progress import Step, step
from autosre_lab.recipe import Recipe
from autosre_lab.settings import load_settings

if TYPE_CHECKING:
    from autosre_lab.cluster.kube import KubeClient
    from autosre_lab.cluster.node_probe import NodeProbe

__all__ = ["start", "status", "stop", "switch", "wait_ready"]

logger = get_logger(__name__)

PROXY_READY_S = 180.0
CONFIRM_S = 5.0


@overload
def start(
    recipe: Recipe,
    *,
    client: KubeClient | None = None,
    dedicated: bool = False,
    wait: Literal[True] = True,
    timeout_s: float | None = None,
) -> Stack: ...


@overload
def start(
    recipe: Recipe,
    *,
    client: KubeClient | None = None,
    dedicated: bool = False,
    wait: Literal[False],
    timeout_s: float | None = None,
) -> StackStatus: ...


def start(
    recipe: Recipe,
    *,
    client: KubeClient | None = None,
    dedicated: bool = False,
    wait: bool = True,
    timeout_s: float | None = None,
) -> Stack | StackStatus:
    """Deploy a recipe and wait for its first token; where it runs already, do nothing.

    Args:
        recipe: What to serve.
        client: The cluster; the settings' by default.
        dedicated: Scale to zero whatever else holds the GPU; `stop` restores it.
        wait: Return when a token has come through the proxy; else when all is applied.
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
        running = _running_recipe(kube)
        if running not in (None, recipe.name):
            raise StackBusyError(
                f"recipe {running} runs in namespace {kube.namespace}",
                remedy=f"replace it: autosre switch {recipe.name}; or end it: autosre stop",
            )
        return _deploy(
            kube,
            recipe,
            lease,
            dedicated=dedicated,
            wait=wait,
            patience_s=_patience(recipe, timeout_s),
        )


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
        deployed = _deploy(
            kube, recipe, lease, dedicated=False, wait=True, patience_s=_patience(recipe, timeout_s)
        )
    assert isinstance(deployed, Stack)  # noqa: S101 - wait=True
    return deployed


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
        return look(kube)
    with hold_lease(kube, "stop"), step("Stop the stack") as bar:
        deployments = [name for name in (ENGINE, PROXY) if kube.get("Deployment", name)]
        for name in deployments:
            scale(kube, name, 0)
        for name in deployments:
            _gone(kube, name, bar, timeout_s)
        _restore(kube)
    return look(kube)


def status(*, client: KubeClient | None = None) -> StackStatus:
    """Return the stack as it is now; changes nothing but the note that a token came."""
    kube = client or configured_client()
    found = look(kube)
    if found.state != "starting" or _engine_pod_ready(kube) is None:
        return found
    try:
        wait_ready(client=kube, timeout_s=CONFIRM_S)
    except (NotReadyError, ClusterError):
        return found
    return look(kube)


def wait_ready(*, client: KubeClient | None = None, timeout_s: float | None = None) -> Stack:
    """Wait until what was deployed has generated a token, through the proxy too.

    Raises:
        NotReadyError: Nothing was started, or it took too long.
        ClusterError: A Pod cannot become ready.
    """
    kube = client or configured_client()
    release = read_release(kube)
    if release is None or look(kube).state in ("stopped", "stopping"):
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
    patience_s = _patience(release.recipe, timeout_s)
    with step(f"Wait for {release.recipe.name}") as bar:
        return _until_ready(kube, release.recipe, release.values, token, bar, patience_s)


def _deploy(
    kube: KubeClient,
    recipe: Recipe,
    lease: HeldLease,
    *,
    dedicated: bool,
    wait: bool,
    patience_s: float,
) -> Stack | StackStatus:
    values = helm_values(recipe, chart_options())
    objects = render(values, namespace=kube.namespace)
    before = read_release(kube)
    _require(recipe, kube)
    token = ensure_token(kube)
    runs = _running_recipe(kube) is not None
    if dedicated:
        dedicate(kube, recipe)
    elif not runs:
        _restore(kube)  # an operator that crashed may have left others at zero
    try:
        with step(f"Start {recipe.name}") as bar:
            if not runs or engine_would_change(kube, objects):
                _make_room(kube, recipe, bar)
            lease.check()
            apply_release(kube, objects)
            if not wait:
                return look(kube)
            with _watched_memory(kube, recipe) as check:
                return _until_ready(
                    kube, recipe, values, token, bar, patience_s, check=_both(lease.check, check)
                )
    except AutosreError as error:
        error.message += _go_back(kube, before if runs else None, token)
        if dedicated:
            error.message += _give_back(kube)
        error.args = (error.message, *error.args[1:])
        raise


def _restore(kube: KubeClient) -> None:
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


def _until_ready(
    kube: KubeClient,
    recipe: Recipe,
    values: Mapping[str, Any],
    token: str,
    bar: Step,
    patience_s: float,
    *,
    check: Callable[[], None] = lambda: None,
) -> Stack:
    deadline_s = time.monotonic() + patience_s
    wait_rollout(
        kube, PROXY, deadline_s=time.monotonic() + PROXY_READY_S, tell=bar.note, check=check
    )
    wait_rollout(kube, ENGINE, deadline_s=deadline_s, tell=bar.note, check=check, phase=phase_of)
    identity = engine_identity(take_snapshot(kube, ENGINE))

    def still_there() -> str:
        check()
        if engine_identity(take_snapshot(kube, ENGINE)) != identity:
            wait_rollout(kube, ENGINE, deadline_s=deadline_s, tell=bar.note, phase=phase_of)
            raise NotReadyError(
                "the engine's container was replaced while its first token was awaited",
                remedy="see what ended it: kubectl logs deploy/vllm --previous",
            )
        return "a first token"

    readiness = generate_tokens(
        values,
        token,
        bar,
        deadline_s=deadline_s,
        look=still_there,
        container_started=lambda: _container_started(kube),
    )
    if readiness.first_token_s is not None:
        bar.note(f"first token {readiness.first_token_s:.1f} s after the container's start")
    if identity is not None:
        mark_ready(kube, identity)
    return Stack(
        recipe_name=recipe.name,
        engine_url=service_url(values["vllm"]),
        proxy_url=service_url(values["anthropicProxy"]),
        token=token,
        model=readiness.served.id,
        max_model_len=readiness.served.max_model_len,
        log_dir=None,
        request_log=None,
    )


def _make_room(kube: KubeClient, recipe: Recipe, bar: Step) -> None:
    """End the engine that runs, and pass the gate where the recipe has one."""
    if kube.get("Deployment", ENGINE) is not None:
        scale(kube, ENGINE, 0)
        _gone(kube, ENGINE, bar)
        # Applied over, fields that somebody edited by hand would stay: they have another owner.
        kube.delete("Deployment", ENGINE)
    if "gpu" in recipe.lifecycle.gates:
        with _node_probe(kube, recipe) as (node, probe):
            wait_gate(recipe, kube, node, probe, tell=bar.note)


def _go_back(kube: KubeClient, before: Release | None, token: str) -> str:
    """Put back what ran before a start that failed; returns what to tell about it."""
    try:
        if before is None:
            if kube.get("Deployment", ENGINE) is not None:
                scale(kube, ENGINE, 0)
            return "\n  the engine was scaled to zero again, so that it holds nothing"
        name = before.recipe.name
        with step(f"Go back to {name}") as bar:
            scale(kube, ENGINE, 0)
            _gone(kube, ENGINE, bar)
            apply_release(kube, render(before.values, namespace=kube.namespace))
            patience_s = _patience(before.recipe, None)
            _until_ready(kube, before.recipe, before.values, token, bar, patience_s)
    except AutosreError as error:
        return f"\n  and going back failed too: {error.message}"
    return f"\n  recipe {name}, which ran before, runs again"


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


def _gone(kube: KubeClient, name: str, bar: Step, beyond_s: float | None = None) -> None:
    deployment = kube.get("Deployment", name)
    patience_s = None
    if beyond_s is not None and deployment is not None:
        spec = deployment["spec"]["template"]["spec"]
        patience_s = float(spec.get("terminationGracePeriodSeconds", 30)) + beyond_s
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


def _running_recipe(kube: KubeClient) -> str | None:
    deployment = kube.get("Deployment", ENGINE)
    if deployment is None or not deployment["spec"].get("replicas", 1):
        return None
    release = read_release(kube)
    return release.recipe.name if release is not None else None


def _engine_pod_ready(kube: KubeClient) -> str | None:
    deployment = kube.get("Deployment", ENGINE) or {}
    ready = (deployment.get("status") or {}).get("readyReplicas", 0)
    return engine_identity(take_snapshot(kube, ENGINE)) if ready else None


def _container_started(kube: KubeClient) -> datetime | None:
    for pod in take_snapshot(kube, ENGINE).pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            running = (container.get("state") or {}).get("running") or {}
            return parse_time(running.get("startedAt"))
    return None


def _patience(recipe: Recipe, timeout_s: float | None) -> float:
    if timeout_s is not None:
        return timeout_s
    return min(load_settings().ready_timeout_s, float(recipe.lifecycle.startup_budget_s))
