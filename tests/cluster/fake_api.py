"""An API server in memory, with time that passes only when somebody waits.

It keeps what the real one keeps: resource versions, generations, deletion timestamps with their
grace, field ownership of server-side apply, allocated addresses. What the controllers and the
kubelet do with the objects is in `fake_controllers`.
"""

from __future__ import annotations

import copy
import ipaddress
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from autosre_lab.cluster.clock import Clock, rfc3339
from autosre_lab.cluster.kube import CLUSTER_KINDS, KIND_PATHS, Event, ExecResult, Object
from autosre_lab.cluster.refusals import explain_refusal
from autosre_lab.errors import KubeError
from tests.cluster.fake_controllers import Behaviour, Controllers
from tests.cluster.fake_merge import apply_merge, merge_patch

__all__ = ["Behaviour", "FakeCluster", "FakeKube"]

Key = tuple[str, str | None, str]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
STEP_S = 1.0
HAS_GENERATION = {"Deployment", "ReplicaSet", "StatefulSet", "NetworkPolicy"}


class FakeCluster:
    """What the server keeps, and its time.

    Attributes:
        behaviours: Container name to what its process does.
        refuse: Called before every request with its action, kind and name; what it returns is
            raised.
        happenings: What somebody else does, at which second.
    """

    def __init__(
        self,
        *,
        node: str = "gb10",
        allocatable: Mapping[str, str] | None = None,
        service_cidr: str = "10.96.0.0/12",
        version: str = "v1.33.4+k3s1",
        unknown_kinds: Sequence[str] = (),
        epoch: datetime = EPOCH,
    ) -> None:
        self.epoch = epoch
        self.lock = threading.RLock()
        self.time = 0.0
        self.version = version
        self.service_cidr = ipaddress.ip_network(service_cidr)
        self.unknown_kinds = set(unknown_kinds)
        self.objects: dict[Key, Object] = {}
        self.applied: dict[Key, Object] = {}
        self.history: list[tuple[str, Object]] = []
        self.behaviours: dict[str, Behaviour] = {}
        self.refuse: Callable[[str, str, str], KubeError | None] = lambda *_: None
        self.happenings: list[tuple[float, Callable[[], object]]] = []
        self.requests: list[tuple[str, str, str]] = []
        self._versions = 100
        self.controllers = Controllers(self)
        self.clock = Clock(lambda: self.time, lambda: self.now, self.advance)
        for name in ("default", "kube-system", "autosre"):
            self.add({"kind": "Namespace", "metadata": {"name": name}})
        self.add(_node(node, allocatable or {"nvidia.com/gpu": "1"}))
        first = str(next(self.service_cidr.hosts()))
        self.add(_service("kubernetes", "default", first))

    @property
    def now(self) -> datetime:
        return self.epoch + timedelta(seconds=self.time)

    @property
    def stamp(self) -> str:
        return rfc3339(self.now)

    def advance(self, seconds: float) -> None:
        """Let time pass; controllers act after every step of it."""
        end = self.time + seconds
        while self.time < end:
            with self.lock:
                self.time = min(self.time + STEP_S, end)
                due = [happening for happening in self.happenings if happening[0] <= self.time]
                self.happenings = [one for one in self.happenings if one not in due]
                for _, act in due:
                    act()
                self.controllers.step()

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        """Let somebody else do something when so many seconds have passed from now."""
        self.happenings.append((self.time + seconds, act))

    def all(self, kind: str, namespace: str | None = None) -> list[Object]:
        """Return the live objects of a kind, oldest first."""
        return [
            obj
            for (of, place, _), obj in self.objects.items()
            if of == kind and namespace in (None, place)
        ]

    def add(self, obj: Object) -> Object:
        """Store a new object as it is, with what the server adds to any."""
        obj = copy.deepcopy(obj)
        kind = obj["kind"]
        obj.setdefault("apiVersion", KIND_PATHS[kind][0])
        metadata = obj["metadata"]
        if kind not in CLUSTER_KINDS:
            metadata.setdefault("namespace", "autosre")
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = self.stamp
        return self._store(_counted(obj, None), "ADDED")

    def put(self, obj: Object) -> Object:
        """Store a changed object; one that is the same stays as it was."""
        key = key_of(obj)
        before = self.objects[key]
        if obj == before:
            return before
        metadata = _counted(obj, before)["metadata"]
        released = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
        if released and obj["kind"] != "Pod":
            return self.drop(obj)
        return self._store(obj, "MODIFIED")

    def drop(self, obj: Object) -> Object:
        """Take an object out for good, and let its dependants follow."""
        key = key_of(obj)
        gone = self.objects.pop(key, None)
        self.applied.pop(key, None)
        if gone is None:
            return obj
        self._versions += 1
        gone = copy.deepcopy(gone)
        gone["metadata"]["resourceVersion"] = str(self._versions)
        self.history.append(("DELETED", gone))
        for other in list(self.objects.values()):
            owners = other["metadata"].get("ownerReferences", [])
            place = other["metadata"].get("namespace")
            if any(owner["uid"] == gone["metadata"]["uid"] for owner in owners):
                self.begin_delete(other, None)
            elif gone["kind"] == "Namespace" and place == gone["metadata"]["name"]:
                self.begin_delete(other, 0)
        return gone

    def begin_delete(self, obj: Object, grace_s: int | None) -> None:
        """Delete as the server does: at once, or by a timestamp that others act upon."""
        obj = copy.deepcopy(self.objects[key_of(obj)])
        metadata = obj["metadata"]
        if obj["kind"] != "Pod":
            if metadata.get("finalizers"):
                metadata.setdefault("deletionTimestamp", self.stamp)
                self.put(obj)
            else:
                self.drop(obj)
            return
        usual = obj["spec"].get("terminationGracePeriodSeconds", 30)
        grace = usual if grace_s is None else grace_s
        if not obj["spec"].get("nodeName") or grace == 0:
            self.drop(obj)
            return
        metadata["deletionTimestamp"] = rfc3339(self.now + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
        self.put(obj)

    def _store(self, obj: Object, happened: str) -> Object:
        self._versions += 1
        obj["metadata"]["resourceVersion"] = str(self._versions)
        self.objects[key_of(obj)] = obj
        self.history.append((happened, copy.deepcopy(obj)))
        return obj


class FakeKube:
    """One user's view of a `FakeCluster`; implements `KubeClient`."""

    def __init__(self, cluster: FakeCluster, *, namespace: str = "autosre") -> None:
        self.cluster = cluster
        self._namespace = namespace

    @property
    def namespace(self) -> str:
        return self._namespace

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Object | None:
        with self.cluster.lock:
            self._asked("get", kind, name)
            return copy.deepcopy(
                self.cluster.objects.get((kind, self._place(kind, namespace), name))
            )

    def find(
        self,
        kind: str,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        namespace: str | None = None,
        everywhere: bool = False,
    ) -> list[Object]:
        with self.cluster.lock:
            self._asked("list", kind, "")
            place = None if everywhere else self._place(kind, namespace)
            found = self.cluster.all(kind, place)
            return copy.deepcopy([obj for obj in found if _selected(obj, labels, fields)])

    def watch(
        self,
        kind: str,
        *,
        labels: Mapping[str, str] | None = None,
        namespace: str | None = None,
        timeout_s: float,
    ) -> Iterator[Event]:
        cluster, place = self.cluster, self._place(kind, namespace)
        deadline = cluster.time + timeout_s
        seen = len(cluster.history)
        for obj in self.find(kind, labels=labels, namespace=namespace):
            yield Event(type="ADDED", object=obj)
        while cluster.time < deadline:
            cluster.advance(min(STEP_S, deadline - cluster.time))
            news, seen = cluster.history[seen:], len(cluster.history)
            for happened, obj in news:
                if key_of(obj)[:2] == (kind, place) and _selected(obj, labels, None):
                    word: Literal["ADDED", "MODIFIED", "DELETED"] = happened  # type: ignore[assignment]
                    yield Event(type=word, object=copy.deepcopy(obj))

    def create(self, obj: Object, *, namespace: str | None = None) -> Object:
        with self.cluster.lock:
            obj, key = self._addressed(obj, namespace)
            self._asked("create", key[0], key[2])
            if key in self.cluster.objects:
                raise _refusal(409, "AlreadyExists", f'"{key[2]}" already exists', "create", key)
            return copy.deepcopy(self.cluster.add(self._admitted(obj, key, None)))

    def apply(self, obj: Object, *, namespace: str | None = None, dry_run: bool = False) -> Object:
        cluster = self.cluster
        with cluster.lock:
            obj, key = self._addressed(obj, namespace)
            self._asked("patch", key[0], key[2])
            live = cluster.objects.get(key)
            last = cluster.applied.get(key, {})
            merged = obj if live is None else apply_merge(live, last, obj)
            merged = self._admitted(merged, key, live, dry_run=dry_run)
            if dry_run:
                return _counted(copy.deepcopy(merged), live)
            cluster.applied[key] = copy.deepcopy(obj)
            return copy.deepcopy(cluster.add(merged) if live is None else cluster.put(merged))

    def replace(self, obj: Object, *, namespace: str | None = None) -> Object:
        with self.cluster.lock:
            obj, key = self._addressed(obj, namespace)
            self._asked("update", key[0], key[2])
            live = self._existing(key, "update")
            given = obj["metadata"].get("resourceVersion")
            if given not in (None, live["metadata"]["resourceVersion"]):
                raise _refusal(409, "Conflict", "the object has been modified", "update", key)
            obj["metadata"] = {**live["metadata"], **obj["metadata"]}
            obj["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
            return copy.deepcopy(self.cluster.put(self._admitted(obj, key, live)))

    def patch(
        self, kind: str, name: str, patch: Mapping[str, Any], *, namespace: str | None = None
    ) -> Object:
        with self.cluster.lock:
            key = (kind, self._place(kind, namespace), name)
            self._asked("patch", kind, name)
            live = self._existing(key, "patch")
            given = patch.get("metadata", {}).get("resourceVersion")
            if given not in (None, live["metadata"]["resourceVersion"]):
                raise _refusal(409, "Conflict", "the object has been modified", "patch", key)
            merged = merge_patch(copy.deepcopy(live), patch)
            return copy.deepcopy(self.cluster.put(self._admitted(merged, key, live)))

    def delete(
        self, kind: str, name: str, *, namespace: str | None = None, grace_s: int | None = None
    ) -> bool:
        with self.cluster.lock:
            self._asked("delete", kind, name)
            live = self.cluster.objects.get((kind, self._place(kind, namespace), name))
            if live is None:
                return False
            self.cluster.begin_delete(live, grace_s)
            return True

    def logs(
        self,
        pod: str,
        *,
        namespace: str | None = None,
        container: str | None = None,
        tail: int = 80,
        previous: bool = False,
    ) -> list[str]:
        with self.cluster.lock:
            self._asked("get", "Pod", pod)
            self._existing(("Pod", self._place("Pod", namespace), pod), "get")
            lines = self.cluster.controllers.logs(pod, container, previous=previous)
            return lines[-tail:]

    def exec(
        self,
        pod: str,
        command: Sequence[str],
        *,
        namespace: str | None = None,
        container: str | None = None,
        timeout_s: float = 30.0,
    ) -> ExecResult:
        with self.cluster.lock:
            self._asked("create", "Pod", f"{pod}/exec")
            self._existing(("Pod", self._place("Pod", namespace), pod), "create")
            return self.cluster.controllers.exec(pod, container, list(command))

    def version(self) -> str:
        self._asked("get", "version", "")
        return self.cluster.version

    def _asked(self, action: str, kind: str, name: str) -> None:
        self.cluster.requests.append((action, kind, name))
        if error := self.cluster.refuse(action, kind, name):
            raise error
        if kind in self.cluster.unknown_kinds:
            message = "the server could not find the requested resource"
            raise _refusal(404, "NotFound", message, action, (kind, None, name))

    def _place(self, kind: str, namespace: str | None) -> str | None:
        return None if kind in CLUSTER_KINDS else namespace or self._namespace

    def _addressed(self, obj: Object, namespace: str | None) -> tuple[Object, Key]:
        obj = copy.deepcopy(obj)
        place = self._place(obj["kind"], namespace or obj["metadata"].get("namespace"))
        if place is not None:
            obj["metadata"]["namespace"] = place
        return obj, key_of(obj)

    def _existing(self, key: Key, action: str) -> Object:
        live = self.cluster.objects.get(key)
        if live is None:
            plural = KIND_PATHS[key[0]][1]
            raise _refusal(404, "NotFound", f'{plural} "{key[2]}" not found', action, key)
        return live

    def _admitted(
        self, obj: Object, key: Key, live: Object | None, *, dry_run: bool = False
    ) -> Object:
        """Return the object with its defaults, or refuse it as the server's validation does."""
        kind, place, _ = key
        if place is not None and ("Namespace", None, place) not in self.cluster.objects:
            raise _refusal(404, "NotFound", f'namespaces "{place}" not found', "create", key)
        if kind == "Service":
            self._admit_address(obj, key, live, dry_run=dry_run)
        if kind == "Pod":
            obj.setdefault("status", {"phase": "Pending"})
        if kind in ("Deployment", "StatefulSet", "ReplicaSet"):
            obj["spec"].setdefault("replicas", 1)
            if live is not None and obj["spec"]["selector"] != live["spec"]["selector"]:
                raise _refusal(422, "Invalid", "spec.selector: field is immutable", "patch", key)
        return obj

    def _admit_address(self, obj: Object, key: Key, live: Object | None, *, dry_run: bool) -> None:
        spec = obj["spec"]
        wanted = spec.get("clusterIP")
        before = live["spec"].get("clusterIP") if live else None
        if before is not None:
            if wanted not in (None, before):
                message = "spec.clusterIPs[0]: Invalid value: may not change once set"
                raise _refusal(422, "Invalid", message, "patch", key)
            spec["clusterIP"] = before
            return
        taken = {one["spec"].get("clusterIP") for one in self.cluster.all("Service")}
        if wanted is None:
            free = (str(ip) for ip in self.cluster.service_cidr.hosts())
            spec["clusterIP"] = next(ip for ip in free if ip not in taken)
        elif wanted != "None" and not dry_run:  # as in 1.20, a dry run does not notice
            if ipaddress.ip_address(wanted) not in self.cluster.service_cidr:
                message = (
                    f'spec.clusterIP: Invalid value: "{wanted}": provided IP is not in the valid '
                    f"range. The range of valid IPs is {self.cluster.service_cidr}"
                )
                raise _refusal(422, "Invalid", message, "create", key)
            if wanted in taken:
                message = (
                    f'spec.clusterIP: Invalid value: "{wanted}": provided IP is already allocated'
                )
                raise _refusal(422, "Invalid", message, "create", key)


def _counted(obj: Object, before: Object | None) -> Object:
    """Count the generation up where the spec changes."""
    if obj["kind"] in HAS_GENERATION and before is None:
        obj["metadata"]["generation"] = 1
    elif obj["kind"] in HAS_GENERATION and before and obj.get("spec") != before.get("spec"):
        obj["metadata"]["generation"] = before["metadata"]["generation"] + 1
    return obj


def key_of(obj: Object) -> Key:
    return obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]


def _refusal(code: int, reason: str, message: str, action: str, key: Key) -> KubeError:
    import json

    body = json.dumps(
        {"kind": "Status", "reason": reason, "message": message, "details": {"name": key[2]}}
    )
    return explain_refusal(code, body, action=action, kind=key[0], name=key[2], namespace=key[1])


def _selected(
    obj: Object, labels: Mapping[str, str] | None, fields: Mapping[str, str] | None
) -> bool:
    own = obj["metadata"].get("labels", {})
    if any(own.get(name) != value for name, value in (labels or {}).items()):
        return False
    return all(_field(obj, path) == value for path, value in (fields or {}).items())


def _field(obj: Object, path: str) -> str:
    found: Any = obj
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return "" if found is None else str(found)


def _node(name: str, allocatable: Mapping[str, str]) -> Object:
    capacity = {"cpu": "20", "memory": "125000000Ki", "pods": "110", **allocatable}
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {
            "allocatable": capacity,
            "capacity": capacity,
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "DiskPressure", "status": "False"},
                {"type": "PIDPressure", "status": "False"},
                {"type": "Ready", "status": "True"},
            ],
            "images": [],
            "nodeInfo": {"bootID": "fake-boot", "kubeletVersion": "v1.33.4+k3s1"},
        },
    }


def _service(name: str, namespace: str, ip: str) -> Object:
    spec = {"clusterIP": ip, "ports": [{"port": 443, "protocol": "TCP"}]}
    return {"kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
