"""A real API server behind `KubeClient`, by the official client's connection and credentials.

Its generated classes are not used: they drop fields that they do not know, and would turn what
the server says into something else before it is compared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from autosre_lab.cluster.exec_stream import run_in_container
from autosre_lab.cluster.kube import CLUSTER_KINDS, KIND_PATHS, Event, ExecResult, Object
from autosre_lab.cluster.refusals import explain_refusal, no_answer
from autosre_lab.errors import KubeError

__all__ = ["ApiServerClient"]

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0

FIELD_MANAGER = "autosre"

EVENT_TYPES = ("ADDED", "MODIFIED", "DELETED")


class ApiServerClient:
    """An API server over HTTPS; safe to use from several threads.

    Args:
        configuration: The official client's `kubernetes.client.Configuration`.
        namespace: The namespace that is meant where none is named.
    """

    def __init__(self, configuration: Any, *, namespace: str) -> None:
        from kubernetes.client.rest import RESTClientObject

        self._configuration = configuration
        self._namespace = namespace
        self._rest = RESTClientObject(configuration)

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named."""
        return self._namespace

    @property
    def server(self) -> str:
        """The server's address."""
        return str(self._configuration.host)

    def close(self) -> None:
        """Close the connections."""
        pools = self._rest.pool_manager.pools
        # Clearing alone leaves them to the garbage collector, and a traceback may hold them.
        for key in list(pools.keys()):
            pools[key].close()
        pools.clear()

    def __enter__(self) -> ApiServerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Object | None:
        """Return one object, or None where there is none."""
        place = self._place(kind, namespace)
        try:
            return self._json("GET", self._path(kind, place, name), "get", kind, name, place)
        except KubeError as error:
            if error.status == 404 and "could not find the requested" not in error.message:
                return None
            raise

    def find(
        self,
        kind: str,
        *,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        namespace: str | None = None,
        everywhere: bool = False,
    ) -> list[Object]:
        """Return objects by equality of labels and fields; ``everywhere``: in all namespaces."""
        place = None if everywhere else self._place(kind, namespace)
        return self._list(kind, place, labels, fields)[0]

    def watch(
        self,
        kind: str,
        *,
        labels: Mapping[str, str] | None = None,
        namespace: str | None = None,
        timeout_s: float,
    ) -> Iterator[Event]:
        """Yield the objects there are, then each change; ends after ``timeout_s`` at the latest."""
        deadline = time.monotonic() + timeout_s
        place = self._place(kind, namespace)
        items, version = self._list(kind, place, labels, None)
        for item in items:
            yield Event(type="ADDED", object=item)
        left = deadline - time.monotonic()
        if left <= 0:
            return
        query = {
            "watch": "true",
            "resourceVersion": version,
            # Whole seconds; 0 would mean the server's own choice of some minutes.
            "timeoutSeconds": str(max(1, round(left))),
            **_selectors(labels, None),
        }
        response = self._send(
            "GET", self._path(kind, place), query=query, read_timeout_s=max(left, 0.1)
        )
        try:
            if response.status >= 400:
                return
            yield from self._events(response, kind, deadline)
        finally:
            response.close()

    def _events(self, response: Any, kind: str, deadline: float) -> Iterator[Event]:
        from urllib3.exceptions import HTTPError

        rest = b""
        try:
            for chunk in response.stream(65536, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    told = json.loads(line)
                    if told.get("type") not in EVENT_TYPES:  # ERROR with 410: too old
                        return
                    yield Event(type=told["type"], object=_typed(told["object"], kind))
                    if time.monotonic() >= deadline:
                        return
        except (HTTPError, OSError, ValueError):
            return

    def create(self, obj: Object, *, namespace: str | None = None) -> Object:
        """Create; raises `ConflictError` where it exists."""
        kind, name, place = self._named(obj, namespace)
        query = {"fieldManager": FIELD_MANAGER}
        return self._json(
            "POST", self._path(kind, place), "create", kind, name, place, query=query, body=obj
        )

    def apply(self, obj: Object, *, namespace: str | None = None, dry_run: bool = False) -> Object:
        """Apply on the server side as field manager ``autosre``, taking over conflicting fields."""
        kind, name, place = self._named(obj, namespace)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        if dry_run:
            query["dryRun"] = "All"
        return self._json(
            "PATCH",
            self._path(kind, place, name),
            "patch",
            kind,
            name,
            place,
            query=query,
            body=obj,
            content_type="application/apply-patch+yaml",
        )

    def replace(self, obj: Object, *, namespace: str | None = None) -> Object:
        """Put the whole object; `ConflictError` if its resourceVersion is not the current one."""
        kind, name, place = self._named(obj, namespace)
        query = {"fieldManager": FIELD_MANAGER}
        return self._json(
            "PUT", self._path(kind, place, name), "update", kind, name, place, query=query, body=obj
        )

    def patch(
        self, kind: str, name: str, patch: Mapping[str, Any], *, namespace: str | None = None
    ) -> Object:
        """Merge a JSON merge patch (RFC 7396) into the object."""
        place = self._place(kind, namespace)
        return self._json(
            "PATCH",
            self._path(kind, place, name),
            "patch",
            kind,
            name,
            place,
            query={"fieldManager": FIELD_MANAGER},
            body=dict(patch),
            content_type="application/merge-patch+json",
        )

    def delete(
        self, kind: str, name: str, *, namespace: str | None = None, grace_s: int | None = None
    ) -> bool:
        """Delete; False where there was nothing. Dependants go with it, in the background."""
        place = self._place(kind, namespace)
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        options["propagationPolicy"] = "Background"
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        path = self._path(kind, place, name)
        try:
            self._json("DELETE", path, "delete", kind, name, place, body=options)
        except KubeError as error:
            if error.status == 404:
                return False
            raise
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
        """Return the last lines of a container's log; empty where it has none yet."""
        place = self._place("Pod", namespace)
        query = {"tailLines": str(tail)}
        if container:
            query["container"] = container
        if previous:
            query["previous"] = "true"
        response = self._send("GET", f"{self._path('Pod', place, pod)}/log", query=query)
        text = self._text(response)
        if response.status == 400 and ("waiting to start" in text or "previous" in text):
            return []
        if response.status >= 400:
            raise explain_refusal(
                response.status, text, action="get", kind="Pod", name=pod, namespace=place
            )
        return text.splitlines()

    def exec(
        self,
        pod: str,
        command: Sequence[str],
        *,
        namespace: str | None = None,
        container: str | None = None,
        timeout_s: float = 30.0,
    ) -> ExecResult:
        """Run a command in a container and wait for its end."""
        place = self._place("Pod", namespace)
        query = [*(("command", part) for part in command), ("stdout", "true"), ("stderr", "true")]
        if container:
            query.append(("container", container))
        return run_in_container(
            self._configuration,
            f"{self.server}{self._path('Pod', place, pod)}/exec?{urlencode(query)}",
            headers=self._credentials(),
            pod=pod,
            namespace=place,
            timeout_s=timeout_s,
        )

    def version(self) -> str:
        """Return the server's version, such as ``v1.33.4+k3s1``."""
        return str(self._json("GET", "/version", "get", "version", "", None)["gitVersion"])

    def _place(self, kind: str, namespace: str | None) -> str | None:
        return None if kind in CLUSTER_KINDS else namespace or self._namespace

    def _named(self, obj: Object, namespace: str | None) -> tuple[str, str, str | None]:
        kind, metadata = str(obj["kind"]), obj["metadata"]
        return kind, metadata["name"], self._place(kind, namespace or metadata.get("namespace"))

    def _path(self, kind: str, place: str | None, name: str = "") -> str:
        version, plural = KIND_PATHS[kind]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        inside = f"/namespaces/{quote(place, safe='')}" if place else ""
        return f"{group}{inside}/{plural}" + (f"/{quote(name, safe='')}" if name else "")

    def _list(
        self,
        kind: str,
        place: str | None,
        labels: Mapping[str, str] | None,
        fields: Mapping[str, str] | None,
    ) -> tuple[list[Object], str]:
        path, query = self._path(kind, place), _selectors(labels, fields)
        told = self._json("GET", path, "list", kind, "", place, query=query)
        version = str(told.get("metadata", {}).get("resourceVersion", ""))
        return [_typed(item, kind) for item in told.get("items") or []], version

    def _json(
        self,
        method: str,
        path: str,
        action: str,
        kind: str,
        name: str,
        place: str | None,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        response = self._send(method, path, query=query, body=body, content_type=content_type)
        text = self._text(response)
        if response.status >= 400:
            raise explain_refusal(
                response.status, text, action=action, kind=kind, name=name, namespace=place
            )
        try:
            told: Object = json.loads(text)
        except ValueError as error:
            raise no_answer(self.server, f"not an API server: {text[:100]!r}") from error
        return told

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> Any:
        from urllib3 import Retry, Timeout
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json", **self._credentials()}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            return self._rest.pool_manager.request(
                method,
                self.server + path + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=Timeout(connect=CONNECT_TIMEOUT_S, read=read_timeout_s),
                # A connection that had been idle may be closed already: one more try tells.
                retries=Retry(total=1, redirect=0, backoff_factor=0.2, raise_on_status=False),
                preload_content=False,
            )
        except HTTPError as error:
            raise no_answer(self.server, _innermost(error)) from error

    def _text(self, response: Any) -> str:
        from urllib3.exceptions import HTTPError

        try:
            return str(response.data.decode("utf-8", "replace"))
        except HTTPError as error:
            raise no_answer(self.server, _innermost(error)) from error
        finally:
            response.release_conn()

    def _credentials(self) -> dict[str, str]:
        return {
            setting["key"]: setting["value"]
            for setting in self._configuration.auth_settings().values()
            if setting["in"] == "header" and setting["value"]
        }


def _selectors(
    labels: Mapping[str, str] | None, fields: Mapping[str, str] | None
) -> dict[str, str]:
    given = {"labelSelector": labels, "fieldSelector": fields}
    return {
        name: ",".join(f"{key}={value}" for key, value in wanted.items())
        for name, wanted in given.items()
        if wanted
    }


def _typed(item: Object, kind: str) -> Object:
    """Return the object with its kind, which the items of a list do not carry."""
    return {"apiVersion": KIND_PATHS[kind][0], "kind": kind, **item}


def _innermost(error: Exception) -> str:
    """Return the cause, without urllib3's wrapping in its own words."""
    reason: object = error
    while getattr(reason, "reason", None) is not None and isinstance(reason, Exception):
        reason = reason.reason  # type: ignore[attr-defined]
    text = str(reason)
    with suppress(ValueError):
        text = text[text.index(": ") + 2 :] if text.startswith("<") else text
    return text or type(reason).__name__
