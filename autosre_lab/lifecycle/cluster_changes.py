"""What a start would change in a cluster; the API server says it, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import KubeError
from autosre_lab.lifecycle.changes import Change, option_lines

if TYPE_CHECKING:
    from autosre_lab.chart import ChartOptions
    from autosre_lab.cluster.kube import KubeClient, Object
    from autosre_lab.recipe import Recipe

__all__ = ["find_changes"]


def find_changes(recipe: Recipe, client: KubeClient, options: ChartOptions) -> list[Change]:
    """Return what a start would change of command line, values and objects."""
    from autosre_lab.chart import helm_values, render
    from autosre_lab.cluster.release import read_release, superseded

    release = read_release(client)
    values = helm_values(recipe, options)
    objects = [one for one in render(values, namespace=client.namespace) if one["kind"] != "Secret"]
    return [
        Change(
            part="command line",
            before=option_lines(_pod_command(client)),
            after=option_lines(values["vllm"]["command"]),
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


def _like(live: Any, wanted: Any) -> Any:
    """Return of a live object what a rendered one speaks of: the server adds its defaults.

    Entries of a list that have names stay, also those that nobody asked for: they go with the
    object.
    """
    from autosre_lab.cluster.foreign_fields import entry_name
    from autosre_lab.parity.mismatch import same

    if isinstance(live, dict) and isinstance(wanted, dict):
        return {key: _like(live[key], value) for key, value in wanted.items() if key in live}
    if isinstance(live, list) and isinstance(wanted, list):
        theirs = {entry_name(one): one for one in live}
        ours = {entry_name(one): one for one in wanted}
        if None not in theirs and None not in ours:
            kept = [_like(theirs[name], one) for name, one in ours.items() if name in theirs]
            return kept + [one for name, one in theirs.items() if name not in ours]
    return wanted if same(live, wanted) else live
