"""The chart's objects against the cluster's, by asking the server what applying would change.

The server knows its own defaults; nobody here has to list them. What a server-side apply would
leave alone although nobody asked for it, such as a variable that was added by hand, is looked for
besides.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autosre_lab.cluster.foreign_fields import as_if_new, entry_name, foreign_fields, has_names
from autosre_lab.cluster.kube import KubeClient, Object
from autosre_lab.errors import KubeError
from autosre_lab.parity.mismatch import Mismatch, same, shown

__all__ = ["ObjectComparison", "compare_objects", "specified", "stale_pods"]

_METADATA = ("labels", "annotations")
_IGNORED_ANNOTATIONS = (
    "deployment.kubernetes.io/",
    "kubectl.kubernetes.io/",
    "field.cattle.io/",
    "objectset.rio.cattle.io/",
)
_KEYED = ("data", "matchLabels", "selector", "nodeSelector", "limits", "requests")
"""Maps in which an entry that nobody asked for changes something."""

_HASH_LABEL = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"
_CHECKSUM = "-sha256"
_REFUSED = (400, 409, 422)
"""Answers that speak of the object, not of the server or of who asks."""


@dataclass(frozen=True, slots=True)
class ObjectComparison:
    """What was found.

    Attributes:
        mismatches: Subjects are ``Kind/name: path``.
        unread: Subject and reason of what could not be compared.
    """

    mismatches: tuple[Mismatch, ...]
    unread: tuple[tuple[str, str], ...]


def compare_objects(client: KubeClient, objects: Sequence[Object]) -> ObjectComparison:
    """Return how the cluster's objects differ from the chart's. Nothing is changed.

    Args:
        client: The API server, and the namespace.
        objects: As the chart renders them.
    """
    mismatches: list[Mismatch] = []
    unread: list[tuple[str, str]] = []
    for wanted in objects:
        subject = _subject(wanted)
        try:
            mismatches += _compare(client, wanted, subject)
        except KubeError as error:
            if error.status in _REFUSED:
                # For example another clusterIP: it cannot be changed, so it differs.
                mismatches.append(
                    Mismatch(
                        subject=subject,
                        kind="different",
                        expected="can be applied",
                        live=shown(error.message),
                    )
                )
            else:
                unread.append((subject, error.message))
    try:
        mismatches += _ways_in(client, objects)
    except KubeError as error:
        unread.append(("ways to the engine", error.message))
    return ObjectComparison(tuple(mismatches), tuple(unread))


def stale_pods(client: KubeClient, objects: Sequence[Object]) -> list[Mismatch]:
    """Return the Pods that run something older than their Deployment says.

    Args:
        client: The API server, and the namespace.
        objects: As the chart renders them; only the Deployments count.

    Raises:
        KubeError: The API server refused.
    """
    found: list[Mismatch] = []
    for wanted in objects:
        if wanted["kind"] != "Deployment":
            continue
        labels = wanted["spec"]["selector"]["matchLabels"]
        newest = _newest(client, wanted["metadata"]["name"], labels)
        if newest is None:
            continue
        annotations = wanted["spec"]["template"]["metadata"].get("annotations") or {}
        for pod in client.find("Pod", labels=labels):
            if "deletionTimestamp" not in pod["metadata"]:
                found += _stale(pod, newest, annotations)
    return found


def _ways_in(client: KubeClient, objects: Sequence[Object]) -> Iterator[Mismatch]:
    """Yield whatever else lets somebody reach the Pods: other Services, other policies."""
    kept = {(one["kind"], one["metadata"]["name"]) for one in objects}
    pods = [
        one["spec"]["template"]["metadata"].get("labels") or {}
        for one in objects
        if one["kind"] == "Deployment"
    ]
    if not pods:
        return
    for service in client.find("Service"):
        selector = (service.get("spec") or {}).get("selector") or {}
        if selector and any(selector.items() <= labels.items() for labels in pods):
            yield from _way_in(service, kept, "leads to the engine")
    for policy in client.find("NetworkPolicy"):
        spec = policy.get("spec") or {}
        chosen = spec.get("podSelector") or {}
        if spec.get("ingress") and any(_selects(chosen, labels) for labels in pods):
            yield from _way_in(policy, kept, "opens the engine")


def _way_in(obj: Object, kept: set[tuple[str, str]], what: str) -> Iterator[Mismatch]:
    if (obj["kind"], obj["metadata"]["name"]) not in kept:
        subject = f"{_subject(obj)}: {what}"
        yield Mismatch(subject=subject, kind="extra", expected=None, live=shown(obj["spec"]))


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels."""
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    for one in selector.get("matchExpressions") or ():
        value, values = labels.get(one["key"]), one.get("values") or ()
        holds = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds[one["operator"]]:
            return False
    return True


def _compare(client: KubeClient, wanted: Object, subject: str) -> list[Mismatch]:
    live = client.get(wanted["kind"], wanted["metadata"]["name"])
    if live is None:
        return [Mismatch(subject=subject, kind="missing", expected="there", live=None)]
    outcome = client.apply(wanted, dry_run=True)
    live, outcome = specified(live), specified(outcome)
    found = [*_differences(outcome, live, ""), *_additions(wanted, live, "")]
    if (fresh := as_if_new(client, wanted)) is not None:
        told = {one.subject for one in found}
        foreign = foreign_fields(fresh, live)
        found += [_extra(path, value) for path, value in foreign if path not in told]
    return [
        Mismatch(
            subject=f"{subject}: {one.subject}",
            kind=one.kind,
            expected=one.expected,
            live=one.live,
        )
        for one in found
    ]


def specified(obj: Object) -> Object:
    """Return what of an object says how things should be."""
    kept = {key: value for key, value in obj.items() if key not in ("status", "metadata")}
    metadata = {key: obj["metadata"].get(key) or {} for key in _METADATA}
    metadata["annotations"] = {
        name: value
        for name, value in metadata["annotations"].items()
        if not name.startswith(_IGNORED_ANNOTATIONS)
    }
    return {**kept, "metadata": metadata}


def _differences(wanted: Any, live: Any, path: str) -> Iterator[Mismatch]:
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key in dict.fromkeys((*wanted, *live)):
            below = f"{path}.{key}" if path else str(key)
            if not (key.startswith(_IGNORED_ANNOTATIONS) or key == "creationTimestamp"):
                yield from _differences(wanted.get(key), live.get(key), below)
    elif has_names(wanted) and has_names(live):
        ours, theirs = ({entry_name(one): one for one in entries} for entries in (wanted, live))
        for name in dict.fromkeys((*ours, *theirs)):
            yield from _differences(ours.get(name), theirs.get(name), f"{path}[{name}]")
    elif not same(wanted, live):
        expected, there = _told(wanted, live)
        kind = "missing" if live is None else "extra" if wanted is None else "different"
        yield Mismatch(subject=path, kind=kind, expected=expected, live=there)  # type: ignore[arg-type]


def _additions(wanted: Any, live: Any, path: str) -> Iterator[Mismatch]:
    """Yield entries of named lists and of telling maps that are there without being asked for."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            if key not in live:
                continue
            below = f"{path}.{key}" if path else str(key)
            if key in _KEYED and isinstance(value, dict) and isinstance(live[key], dict):
                for name in live[key].keys() - value.keys():
                    yield _extra(f"{below}.{name}", live[key][name])
            yield from _additions(value, live[key], below)
    elif has_names(wanted) and has_names(live):
        ours, theirs = ({entry_name(one): one for one in entries} for entries in (wanted, live))
        for name, entry in theirs.items():
            if name in ours:
                yield from _additions(ours[name], entry, f"{path}[{name}]")
            else:
                yield _extra(f"{path}[{name}]", entry)


def _extra(path: str, value: object) -> Mismatch:
    return Mismatch(subject=path, kind="extra", expected=None, live=shown(value))


def _told(wanted: object, live: object) -> tuple[str | None, str | None]:
    """Return both sides, of long texts and lists only where they differ."""
    if isinstance(wanted, str) and isinstance(live, str) and "\n" in wanted + live:
        parts = _apart(wanted.splitlines(), live.splitlines())
    elif isinstance(wanted, list) and isinstance(live, list):
        parts = _apart([shown(one) for one in wanted], [shown(one) for one in live])
    else:
        return (
            None if wanted is None else shown(wanted),
            None if live is None else shown(live),
        )
    return shown(parts[0]), shown(parts[1])


def _apart(wanted: list[str], live: list[str]) -> tuple[str, str]:
    """Return the entries that differ, each run after the one entry before it."""
    sides: tuple[list[str], list[str]] = ([], [])
    matcher = difflib.SequenceMatcher(a=wanted, b=live, autojunk=False)
    for tag, from_a, to_a, from_b, to_b in matcher.get_opcodes():
        if tag != "equal":
            for side, entries, start, end in (
                (sides[0], wanted, from_a, to_a),
                (sides[1], live, from_b, to_b),
            ):
                side.append(" ".join(one.strip() for one in entries[max(0, start - 1) : end]))
    return " … ".join(sides[0]), " … ".join(sides[1])


def _newest(client: KubeClient, deployment: str, labels: dict[str, str]) -> Object | None:
    owned = [
        one
        for one in client.find("ReplicaSet", labels=labels)
        if any(
            owner.get("kind") == "Deployment" and owner.get("name") == deployment
            for owner in one["metadata"].get("ownerReferences") or ()
        )
    ]
    return max(owned, key=_revision, default=None)


def _revision(replica_set: Object) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get(_REVISION, "0")
    return int(text) if str(text).isdigit() else 0


def _stale(pod: Object, newest: Object, annotations: dict[str, str]) -> Iterator[Mismatch]:
    name = f"Pod/{pod['metadata']['name']}"
    wanted = (newest["metadata"].get("labels") or {}).get(_HASH_LABEL)
    has = (pod["metadata"].get("labels") or {}).get(_HASH_LABEL)
    if wanted != has:
        yield Mismatch(
            subject=f"{name}: template", kind="different", expected=wanted, live=has or "none"
        )
    there = pod["metadata"].get("annotations") or {}
    for key, value in annotations.items():
        if key.endswith(_CHECKSUM) and there.get(key) != value:
            yield Mismatch(
                subject=f"{name}: {key}",
                kind="different" if key in there else "missing",
                expected=shown(value),
                live=there.get(key),
            )


def _subject(obj: Object) -> str:
    return f"{obj['kind']}/{obj['metadata']['name']}"
