"""What a start of a recipe would change of what runs. Nothing is changed by looking."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import AutosreError
from autosre_lab.lifecycle.place import Place, place_for

if TYPE_CHECKING:
    from autosre_lab.cluster.kube import KubeClient
    from autosre_lab.recipe import Recipe

__all__ = ["Change", "find_changes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One part of a stack, as it runs and as it would.

    Attributes:
        part: ``command line``, ``values``, or an object's kind and name.
        before: Lines of what runs; empty where nothing does.
        after: Lines of what would.
        unread: Why what runs could not be read; empty where it could.
    """

    part: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    unread: str = ""

    @property
    def differs(self) -> bool:
        """Whether anything would change."""
        return self.before != self.after

    def diff(self) -> list[str]:
        """Return the change as a unified diff; empty where nothing would change."""
        lines = difflib.unified_diff(self.before, self.after, "runs", "recipe", lineterm="", n=1)
        return list(lines)


def find_changes(recipe: Recipe, *, place: str | None = None) -> list[Change]:
    """Return what a start of a recipe would change.

    Args:
        recipe: What would be served.
        place: Where; as for `start`.

    Returns:
        Locally the command line; in a cluster that, the chart's values and its objects.

    Raises:
        RecipeError: The recipe cannot be started there.
        ClusterError: The cluster cannot be asked.
    """
    where: Place = place_for(recipe, place)
    if where == "local":
        return [_local_command(recipe)]
    from autosre_lab.cluster.options import chart_options, configured_client

    client = configured_client()
    return _in_cluster(recipe, client, chart_options())


def _local_command(recipe: Recipe) -> Change:
    from autosre_lab.engine import status
    from autosre_lab.parity.expectation import expected_here
    from autosre_lab.parity.live import read_local
    from autosre_lab.settings import load_settings

    running = status()
    before: Sequence[str] = ()
    port = load_settings().engine_port or 8010
    unread = ""
    engine = running.services.get("engine")
    if engine is not None and engine.pid is not None:
        port = engine.port
        try:
            before = read_local(pid=engine.pid).process.argv
        except AutosreError as error:
            unread = error.message
    after = expected_here(recipe, port=port).argv
    return Change(
        part="command line", before=_options(before), after=_options(after), unread=unread
    )


def _in_cluster(recipe: Recipe, client: KubeClient, options: Any) -> list[Change]:
    import yaml

    from autosre_lab.chart import helm_values, render
    from autosre_lab.cluster.release import read_release

    release = read_release(client)
    values = helm_values(recipe, options)
    running = {} if release is None else release.values

    def command(of: dict[str, Any]) -> tuple[str, ...]:
        return _options(of.get("vllm", {}).get("command", ()))

    def text(of: object) -> tuple[str, ...]:
        return tuple(yaml.safe_dump(of, sort_keys=True).splitlines()) if of else ()

    changes = [
        Change(part="command line", before=command(running), after=command(values)),
        Change(part="values", before=text(running), after=text(values)),
    ]
    for wanted in render(values, namespace=client.namespace):
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        if kind == "Secret":
            continue
        live = client.get(kind, name)
        changes.append(
            Change(
                part=f"{kind}/{name}",
                before=() if live is None else text(_like(live, wanted)),
                after=text(wanted),
            )
        )
    return changes


def _options(argv: Sequence[str]) -> tuple[str, ...]:
    """Return a command line with one option a line, its value beside it."""
    lines: list[str] = []
    for word in argv:
        if word.startswith("--") or not lines or not lines[-1].startswith("--"):
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return tuple(lines)


def _like(live: Any, wanted: Any) -> Any:
    """Return of a live object what a rendered one speaks of: the server adds its defaults."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        return {key: _like(live[key], value) for key, value in wanted.items() if key in live}
    if isinstance(live, list) and isinstance(wanted, list) and len(live) == len(wanted):
        return [_like(one, other) for one, other in zip(live, wanted, strict=True)]
    return live
