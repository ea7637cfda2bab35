"""Compare what runs with what its recipe would run, layer by layer.

A layer that cannot be read is a row of its own: what nobody could look at is never told as equal.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.errors import AutosreError, ConfigError
from autosre_lab.logs import get_logger
from autosre_lab.parity.command_line import difference, listening_port, read_command_line
from autosre_lab.parity.environment import environment_difference
from autosre_lab.parity.expectation import Expectation, expected_here, expected_in_pod
from autosre_lab.parity.hook import compare_hook, hook_paths
from autosre_lab.parity.judgement import (
    Judgement,
    judge_flag,
    judge_object,
    judge_variable,
    overridden,
)
from autosre_lab.parity.live import LiveEngine, read_container, read_local, read_pod
from autosre_lab.parity.mismatch import Mismatch
from autosre_lab.parity.objects import compare_objects, stale_pods
from autosre_lab.parity.report import DriftReport, DriftRow, DriftWarning, Layer, sorted_rows
from autosre_lab.recipe import load_flag_table, load_recipe

if TYPE_CHECKING:
    from autosre_lab.chart import ChartOptions
    from autosre_lab.local.stack_files import StackNote
    from autosre_lab.recipe import Recipe

__all__ = ["engine_rows", "find_drift", "warn_on_recipe_drift"]

logger = get_logger(__name__)


class _Found(NamedTuple):
    expectation: Expectation
    live: LiveEngine


_IN_POD: tuple[Layer, ...] = ("process", "environment", "image", "hook")
_HERE: tuple[Layer, ...] = ("process", "environment", "hook")


def find_drift(
    recipe: Recipe | str,
    api_port: int | None = None,
    *,
    client: KubeClient | None = None,
    pod: str | None = None,
    pid: int | None = None,
    objects: Sequence[Object] | None = None,
    options: ChartOptions | None = None,
) -> DriftReport:
    """Return how what runs differs from what a recipe would run. Nothing is changed.

    Args:
        recipe: What should run; a recipe, its name or its file.
        api_port: Where the engine listens that is meant; absent: the stack's, or the only one.
        client: The cluster to look in; absent: this machine's processes.
        pod: The engine's Pod; absent: the running one.
        pid: The engine's process here; absent: the stack's, or the only one there is.
        objects: The chart's objects, where they are rendered already; empty: a stack that no
            chart of ours has made.
        options: What else the chart was rendered with.

    Raises:
        RecipeError: There is no such recipe.
    """
    chosen = load_recipe(recipe) if isinstance(recipe, str) else recipe
    rows: list[DriftRow] = []
    layers: tuple[Layer, ...] = _HERE
    if client is not None:
        rows += _objects(chosen, client, objects, options)
        layers = _IN_POD
    try:
        found = (
            _in_pod(chosen, client, pod, api_port)
            if client is not None
            else _here(chosen, pid, api_port)
        )
    except AutosreError as error:
        engine = ""
        rows += [_unknown(layer, "the engine", error.message) for layer in layers]
    else:
        engine = found.live.name
        if found.live.pod is not None:  # a container of this machine has an image too
            layers = _IN_POD
        rows += _engine(chosen, layers, found)
    if client is not None and (objects is None or objects):
        layers = ("objects", *layers)
    if chosen.scheduler.preemption.mode == "off":
        layers = tuple(layer for layer in layers if layer != "hook")
        rows = [row for row in rows if row.layer != "hook"]
    return DriftReport(
        recipe_name=chosen.name,
        place="local" if client is None else "cluster",
        engine=engine,
        layers=layers,
        rows=sorted_rows(rows),
    )


def warn_on_recipe_drift(
    recipe: Recipe | str,
    api_port: int | None = None,
    *,
    client: KubeClient | None = None,
    pod: str | None = None,
    pid: int | None = None,
    objects: Sequence[Object] | None = None,
    options: ChartOptions | None = None,
    strict: bool = False,
) -> DriftReport:
    """Warn of each difference between what runs and what a recipe would run.

    Each row is one `DriftWarning` and one line in the log. Nothing is raised, whatever happens,
    so that a start does not fail because of it.

    Args:
        recipe: What should run; a recipe, its name or its file.
        api_port: Where the engine listens that is meant; absent: the stack's, or the only one.
        client: The cluster to look in; absent: this machine's processes.
        pod: The engine's Pod; absent: the running one.
        pid: The engine's process here; absent: the stack's, or the only one there is.
        objects: The chart's objects, where they are rendered already.
        options: What else the chart was rendered with.
        strict: Raise instead, as CI wants it.

    Raises:
        DriftError: Only with ``strict``: something differs, or could not be compared.
    """
    try:
        report = find_drift(
            recipe, api_port, client=client, pod=pod, pid=pid, objects=objects, options=options
        )
    except Exception as error:
        if strict:
            raise
        report = _nothing_known(recipe, client, error)
    if strict:
        report.raise_if_drifted()
    for row in report.rows:
        logger.warning("%s: %s", report.recipe_name, row)
        _warn(f"{report.recipe_name}: {row}")
    return report


def engine_rows(recipe: Recipe, live: LiveEngine) -> list[DriftRow]:
    """Return how a Pod's engine differs from a recipe in command line, environment and image.

    Args:
        recipe: What should run.
        live: What was read of the Pod.
    """
    return list(_engine(recipe, _IN_POD[:3], _Found(expected_in_pod(recipe), live)))


def _warn(text: str) -> None:
    try:
        warnings.warn(text, DriftWarning, stacklevel=3)
    except DriftWarning:
        # Warnings are errors in this process; a start must not fail of one all the same.
        logger.debug("not warned of, because warnings are errors here: %s", text)


def _nothing_known(
    recipe: Recipe | str, client: KubeClient | None, error: Exception
) -> DriftReport:
    name = recipe if isinstance(recipe, str) else recipe.name
    row = _unknown("process", "all of it", f"{type(error).__name__}: {error}")
    return DriftReport(
        recipe_name=name,
        place="local" if client is None else "cluster",
        engine="",
        layers=(),
        rows=(row,),
    )


def _objects(
    recipe: Recipe,
    client: KubeClient,
    objects: Sequence[Object] | None,
    options: ChartOptions | None,
) -> Iterator[DriftRow]:
    from autosre_lab.chart import helm_values, render

    try:
        wanted = (
            objects
            if objects is not None
            else render(helm_values(recipe, options), namespace=client.namespace)
        )
    except AutosreError as error:
        yield _unknown("objects", "the chart", error.message)
        return
    found = compare_objects(client, wanted)
    for one in found.mismatches:
        yield from _row("objects", one, judge_object(one), recipe)
    for subject, reason in found.unread:
        yield _unknown("objects", subject, reason)
    try:
        for one in stale_pods(client, wanted):
            yield from _row("objects", one, judge_object(one), recipe)
    except AutosreError as error:
        yield _unknown("objects", "Pods", error.message)


def _in_pod(recipe: Recipe, client: KubeClient, pod: str | None, api_port: int | None) -> _Found:
    expectation = expected_in_pod(recipe)
    files, texts = hook_paths(recipe, expectation.environment.set)
    secrets = tuple(recipe.env.secret)
    live = read_pod(client, pod, api_port=api_port, secrets=secrets, files=files, texts=texts)
    return _Found(expectation, live)


def _here(recipe: Recipe, pid: int | None, api_port: int | None) -> _Found:
    from autosre_lab.local.stack_files import StackFiles
    from autosre_lab.settings import paths

    stack = StackFiles(paths().state)
    note, record = stack.read(), stack.engine.record()
    if note is not None and note.container and pid is None:
        return _in_container(recipe, note)
    if pid is None and api_port is None and record is not None and record.running:
        pid = record.pid
    live = read_local(pid=pid, api_port=api_port, secrets=tuple(recipe.env.secret))
    if note is not None and record is not None and record.pid == live.process.pid:
        port = note.engine_port
    else:  # Somebody else started it: no recipe says where it should listen.
        port = listening_port(live.process.argv, load_flag_table(recipe.vllm_version))
    expectation = expected_here(recipe, port=port)
    files, texts = hook_paths(recipe, expectation.environment.set)
    if files or texts:
        secrets = tuple(recipe.env.secret)
        live = read_local(pid=live.process.pid, secrets=secrets, files=files, texts=texts)
    return _Found(expectation, live)


def _in_container(recipe: Recipe, note: StackNote) -> _Found:
    expectation = expected_here(recipe, port=note.engine_port)
    files, texts = hook_paths(recipe, expectation.environment.set)
    secrets = tuple(recipe.env.secret)
    live = read_container(*note.container.split(), secrets=secrets, files=files, texts=texts)
    return _Found(expectation, live)


def _engine(recipe: Recipe, layers: Sequence[Layer], found: _Found) -> Iterator[DriftRow]:
    expectation, live = found
    compare: dict[Layer, Callable[[], Iterator[DriftRow]]] = {
        "process": lambda: _process(recipe, expectation, live),
        "environment": lambda: _environment(recipe, expectation, live),
        "image": lambda: _image(recipe, live),
        "hook": lambda: _hook(recipe, expectation, live),
    }
    for layer in layers:
        try:
            yield from compare[layer]()
        except ConfigError as error:
            yield _unknown(layer, "the engine", error.message)


def _process(recipe: Recipe, expectation: Expectation, live: LiveEngine) -> Iterator[DriftRow]:
    table = load_flag_table(recipe.vllm_version)
    lines = [read_command_line(argv, table) for argv in (expectation.argv, live.process.argv)]
    version = (live.process.vllm_version or recipe.vllm_version).partition("+")[0]
    if version != recipe.vllm_version.partition("+")[0]:
        one = _different("vLLM", recipe.vllm_version, version)
        why = "flags, defaults and the hook are those of another version"
        yield from _row("process", one, ("error", why), recipe)
    for one in difference(*lines):
        yield from _row("process", one, judge_flag(one, recipe), recipe)
    if table is None:
        reason = f"there is no flag table of vLLM {recipe.vllm_version}: words were compared"
        yield _unknown("process", "aliases and defaults", reason)


def _environment(recipe: Recipe, expectation: Expectation, live: LiveEngine) -> Iterator[DriftRow]:
    if live.process.environ is None:
        reason = "the process belongs to another user"
        yield _unknown("environment", f"pid {live.process.pid}", reason)
        return
    for one in environment_difference(expectation.environment, live.process.environ):
        yield from _row("environment", one, judge_variable(one, recipe), recipe)


def _image(recipe: Recipe, live: LiveEngine) -> Iterator[DriftRow]:
    image = recipe.image
    assert image is not None  # noqa: S101 - without one there is no expectation for a Pod
    why = "another build runs than the recipe was verified with"
    running = live.image_id or ""
    if image.digest is None:
        if live.image is not None and _plain(live.image) != _plain(image.ref):
            one = _different("image", image.ref, live.image)
            yield from _row("image", one, ("error", why), recipe)
    elif "@" not in running:
        reason = f"the node tells no digest of the image, only {running or 'nothing'!r}"
        yield _unknown("image", "digest", reason)
    elif (digest := running.rpartition("@")[2]) != image.digest:
        one = _different("digest", image.digest, digest)
        yield from _row("image", one, ("error", why), recipe)


def _hook(recipe: Recipe, expectation: Expectation, live: LiveEngine) -> Iterator[DriftRow]:
    found = compare_hook(recipe, expectation.environment.set, live)
    for one, why in found.mismatches:
        judged: Judgement = ("error" if recipe.scheduler.preemption.required else "warn", why)
        yield from _row("hook", one, judged, recipe)
    for subject, reason in found.unread:
        yield _unknown("hook", subject, reason)


def _plain(reference: str) -> str:
    """Return an image's name as written by hand: nodes write out the registry."""
    return reference.partition("@")[0].removeprefix("docker.io/").removeprefix("library/")


def _different(subject: str, expected: str, live: str) -> Mismatch:
    return Mismatch(subject=subject, kind="different", expected=expected, live=live)


def _row(layer: Layer, one: Mismatch, judged: Judgement, recipe: Recipe) -> Iterator[DriftRow]:
    severity = overridden(one.subject, judged[0], recipe)
    if severity != "ignore":
        yield DriftRow(
            layer=layer,
            subject=one.subject,
            expected=one.expected,
            live=one.live,
            severity=severity,
            why=judged[1],
        )


def _unknown(layer: Layer, subject: str, why: str) -> DriftRow:
    return DriftRow(
        layer=layer, subject=subject, expected=None, live=None, severity="unknown", why=why
    )
