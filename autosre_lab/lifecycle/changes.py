"""What a start of a recipe would change of what runs. Nothing is changed by looking."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import AutosreError, KubeError
from autosre_lab.lifecycle.place import Place, place_for

if TYPE_CHECKING:
    from autosre_lab.cluster.kube import KubeClient, Object
    from autosre_lab.recipe import Recipe

__all__ = ["Change", "find_changes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One part of a stack, as it runs and as it would.

    Attributes:
        part: ``command line``, ``values``, or an object's kind and name.
        before: Lines of what runs; empty where nothing does.
        after: Lines of what would; empty where it would be taken away.
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
    from autosre_lab.local import status
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
    if after and after[0] in before:
        # What runs a script is the interpreter of its first line.
        before = before[list(before).index(after[0]) :]
    return Change(
        part="command line", before=_options(before), after=_options(after), unread=unread
    )


def _in_cluster(recipe: Recipe, client: KubeClient, options: Any) -> list[Change]:
    from autosre_lab.chart import helm_values, render
    from autosre_lab.cluster.release import read_release, superseded

    release = read_release(client)
    values = helm_values(recipe, options)
    objects = [one for one in render(values, namespace=client.namespace) if one["kind"] != "Secret"]
    return [
        Change(
            part="command line",
            before=_options(_pod_command(client)),
            after=_options(values["vllm"]["command"]),
        ),
        Change(
            part="values",
            before=() if release is None else _text(release.values),
            after=_text(values),
        ),
        *(_of_object(client, wanted) for wanted in objects),
        *(
            Change(part=_name(old), before=_text(_shown(old)), after=())
            for old in superseded(client, objects)
        ),
    ]


def _pod_command(client: KubeClient) -> Sequence[str]:
    """Return the engine's command line as its Deployment has it now; empty at zero replicas."""
    from autosre_lab.cluster.release import ENGINE

    live = client.get("Deployment", ENGINE)
    if live is None or not live["spec"].get("replicas", 1):
        return ()
    containers = live["spec"]["template"]["spec"]["containers"]
    engine = next((one for one in containers if one["name"] == "vllm"), containers[0])
    return [*(engine.get("command") or ()), *(engine.get("args") or ())]


def _of_object(client: KubeClient, wanted: Object) -> Change:
    """Ask the server what applying an object would change: it alone knows its defaults."""
    from autosre_lab.cluster.release import made_anew

    live = client.get(wanted["kind"], wanted["metadata"]["name"])
    after = _shown(wanted)
    if live is None:
        return Change(part=_name(wanted), before=(), after=_text(after))
    try:
        if made_anew(client, wanted, live):
            before = _like(_shown(live), after)
        else:
            before, after = _shown(live), _shown(client.apply(wanted, dry_run=True))
    except KubeError as error:
        return Change(part=_name(wanted), before=(), after=_text(after), unread=error.message)
    return Change(part=_name(wanted), before=_text(before), after=_text(after))


def _name(obj: Object) -> str:
    return f"{obj['kind']}/{obj['metadata']['name']}"


def _shown(obj: Object) -> Object:
    from autosre_lab.parity.objects import specified

    shown = specified(obj)
    if "data" in shown:
        # The change "values" shows these, a line each.
        shown["data"] = {
            key: value for key, value in (shown["data"] or {}).items() if key != "values.json"
        }
    return shown


def _text(tree: object) -> tuple[str, ...]:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Texts of several lines as such, and 24.0 as the 24 that Helm makes of it."""

    def block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def number(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
        return (
            dumper.represent_int(int(value))
            if value.is_integer()
            else dumper.represent_float(value)
        )

    Dumper.add_representer(str, block)
    Dumper.add_representer(float, number)
    return tuple(yaml.dump(tree, Dumper=Dumper, sort_keys=True, width=1000).splitlines())


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
    """Return of a live object what a rendered one speaks of: the server adds its defaults.

    Entries of a list that have names stay, also those that nobody asked for: they go with the
    object.
    """
    from autosre_lab.parity.mismatch import same
    from autosre_lab.parity.objects import entry_name

    if isinstance(live, dict) and isinstance(wanted, dict):
        return {key: _like(live[key], value) for key, value in wanted.items() if key in live}
    if isinstance(live, list) and isinstance(wanted, list):
        theirs = {entry_name(one): one for one in live}
        ours = {entry_name(one): one for one in wanted}
        if None not in theirs and None not in ours:
            kept = [_like(theirs[name], one) for name, one in ours.items() if name in theirs]
            return kept + [one for name, one in theirs.items() if name not in ours]
    return wanted if same(live, wanted) else live
