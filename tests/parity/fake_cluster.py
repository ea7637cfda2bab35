"""A cluster of a few objects, whose containers' processes are files in a folder."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autosre_lab.cluster.kube import Event, ExecResult, Object
from autosre_lab.errors import KubeError


def write_process(
    proc: Path, pid: int, argv: Sequence[str], environ: Mapping[str, str], *, parent: int = 1
) -> None:
    """Write what the kernel tells of a process."""
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    ends = "".join(f"{word}\0" for word in argv)
    (folder / "cmdline").write_bytes(ends.encode())
    pairs = "".join(f"{name}={value}\0" for name, value in environ.items())
    (folder / "environ").write_bytes(pairs.encode())
    (folder / "stat").write_text(f"{pid} (a (b) c) S {parent} 0 0 0\n", encoding="utf-8")


class FakeCluster:
    """Objects by kind and name; executed commands really run here, on a made-up /proc.

    Args:
        objects: What there is.
        proc: The folder that stands for the containers' /proc.
        root: The folder that stands for the containers' file system; absent: this machine's.
    """

    namespace = "autosre"

    def __init__(
        self,
        objects: Sequence[Object] = (),
        *,
        proc: Path | None = None,
        root: Path | None = None,
    ) -> None:
        self.objects = {_key(obj): copy.deepcopy(obj) for obj in objects}
        self.proc = proc
        self.root = root
        self.executed: list[list[str]] = []
        self.exec_answer: ExecResult | None = None
        self.refused: set[str] = set()
        self.changed: list[str] = []

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Object | None:
        self._refuse(kind)
        return copy.deepcopy(self.objects.get((kind, name)))

    def find(
        self,
        kind: str,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        namespace: str | None = None,
        everywhere: bool = False,
    ) -> list[Object]:
        self._refuse(kind)
        return [
            copy.deepcopy(obj)
            for (found, _), obj in self.objects.items()
            if found == kind and (labels or {}).items() <= obj["metadata"].get("labels", {}).items()
        ]

    def apply(self, obj: Object, *, namespace: str | None = None, dry_run: bool = False) -> Object:
        self._refuse(obj["kind"])
        assert dry_run, "parity must not change anything"
        outcome: Object = _merged(self.objects.get(_key(obj)) or _defaults(obj), obj)
        return outcome

    def exec(
        self,
        pod: str,
        command: Sequence[str],
        *,
        namespace: str | None = None,
        container: str | None = None,
        timeout_s: float = 30.0,
    ) -> ExecResult:
        self._refuse("exec")
        self.executed.append(list(command))
        if self.exec_answer is not None:
            return self.exec_answer
        request = json.loads(command[-1]) | {"proc": str(self.proc)}
        for key in ("files", "texts"):
            request[key] = [self._inside(path) for path in request[key]]
        done = subprocess.run(
            [*command[:-1], json.dumps(request)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout_s,
            check=False,
        )
        stdout = done.stdout.replace(f'"{self.root}/', '"/') if self.root else done.stdout
        return ExecResult(exit_code=done.returncode, stdout=stdout, stderr=done.stderr)

    def _inside(self, path: str) -> str:
        return str(self.root / path.lstrip("/")) if self.root else path

    def watch(self, kind: str, **_: Any) -> Iterator[Event]:
        raise AssertionError("parity does not wait")

    def create(self, obj: Object, *, namespace: str | None = None) -> Object:
        raise AssertionError("parity must not change anything")

    def replace(self, obj: Object, *, namespace: str | None = None) -> Object:
        raise AssertionError("parity must not change anything")

    def patch(
        self, kind: str, name: str, patch: Mapping[str, Any], *, namespace: str | None = None
    ) -> Object:
        raise AssertionError("parity must not change anything")

    def delete(
        self, kind: str, name: str, *, namespace: str | None = None, grace_s: int | None = None
    ) -> bool:
        raise AssertionError("parity must not change anything")

    def logs(self, pod: str, **_: Any) -> list[str]:
        raise AssertionError("parity reads no logs")

    def version(self) -> str:
        return "v1.33.0"

    def _refuse(self, what: str) -> None:
        if what in self.refused:
            raise KubeError(
                f"{what} is forbidden", remedy="ask for it", status=403, reason="Forbidden"
            )


def _key(obj: Object) -> tuple[str, str]:
    return obj["kind"], obj["metadata"]["name"]


def _defaults(obj: Object) -> Object:
    """Return what a server adds to a new object of this kind."""
    if obj["kind"] == "Service":
        return {"spec": {"sessionAffinity": "None"}}
    if obj["kind"] != "Deployment":
        return {}
    containers = [
        {"name": one["name"], "terminationMessagePath": "/dev/log"}
        for one in obj["spec"]["template"]["spec"]["containers"]
    ]
    return {"spec": {"revisionHistoryLimit": 10, "template": {"spec": {"containers": containers}}}}


def _merged(live: Any, over: Any) -> Any:
    """Lay one value on another as a server-side apply does: lists with names entry by entry."""
    if isinstance(live, dict) and isinstance(over, dict):
        return live | {key: _merged(live.get(key), value) for key, value in over.items()}
    if _has_names(live) and _has_names(over):
        names = {entry["name"]: entry for entry in live}
        mine = [_merged(names.pop(entry["name"], {}), entry) for entry in over]
        return mine + list(names.values())
    return copy.deepcopy(over)


def _has_names(value: Any) -> bool:
    entries = value if isinstance(value, list) else []
    return bool(entries) and all(isinstance(one, dict) and "name" in one for one in entries)
