"""The real client against a scripted server on loopback: what it sends, and what it makes of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes.client import Configuration

from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.exec_stream import exit_code_of
from autosre_lab.errors import ConflictError, KubeError
from tests.cluster.objects import config_map

Answer = tuple[int, bytes]


class Script:
    """What the server answers, and what it was asked."""

    def __init__(self, answer: Callable[[str, str], Answer]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []


@contextmanager
def client_of(answer: Callable[[str, str], Answer]) -> Iterator[tuple[ApiServerClient, Script]]:
    script = Script(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.asked.append((self.command, self.path, dict(self.headers), body))
            code, text = script.answer(self.command, self.path)
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    configuration = Configuration(host=f"http://127.0.0.1:{server.server_port}")
    configuration.api_key["authorization"] = "Bearer secret"
    try:
        with ApiServerClient(configuration, namespace="autosre") as client:
            yield client, script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(obj: dict[str, Any], code: int = 200) -> Callable[[str, str], Answer]:
    return lambda *_: (code, json.dumps(obj).encode())


def refuses(code: int, reason: str, message: str) -> Callable[[str, str], Answer]:
    status = {"kind": "Status", "reason": reason, "message": message, "details": {"name": "x"}}
    return says(status, code)


def test_apply_takes_over_conflicting_fields_as_one_field_manager() -> None:
    with client_of(says(config_map())) as (client, script):
        client.apply(config_map(), dry_run=True)
    method, path, headers, body = script.asked[0]
    assert (method, path.partition("?")[0]) == (
        "PATCH",
        "/api/v1/namespaces/autosre/configmaps/note",
    )
    assert path.partition("?")[2] == "fieldManager=autosre&force=true&dryRun=All"
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert headers["authorization"] == "Bearer secret"
    assert json.loads(body) == config_map()


def test_patch_is_a_merge_patch() -> None:
    with client_of(says(config_map())) as (client, script):
        client.patch("Deployment", "vllm", {"spec": {"replicas": 0}}, namespace="other")
    method, path, headers, body = script.asked[0]
    assert (method, path) == (
        "PATCH",
        "/apis/apps/v1/namespaces/other/deployments/vllm?fieldManager=autosre",
    )
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert json.loads(body) == {"spec": {"replicas": 0}}


def test_delete_says_the_grace_and_lets_dependants_follow() -> None:
    with client_of(says({})) as (client, script):
        assert client.delete("Pod", "vllm-1", grace_s=1)
    options = json.loads(script.asked[0][3])
    assert (options["propagationPolicy"], options["gracePeriodSeconds"]) == ("Background", 1)


def test_selectors_are_sent_and_cluster_kinds_have_no_namespace() -> None:
    with client_of(says({"items": [{"metadata": {"name": "gb10"}}]})) as (client, script):
        (node,) = client.find("Node", labels={"a": "b", "c": "d"})
        client.find("Pod", fields={"spec.nodeName": "gb10"}, everywhere=True)
    assert node["kind"] == "Node"
    assert script.asked[0][1] == "/api/v1/nodes?labelSelector=a%3Db%2Cc%3Dd"
    assert script.asked[1][1] == "/api/v1/pods?fieldSelector=spec.nodeName%3Dgb10"


@pytest.mark.parametrize(
    ("code", "reason", "message", "remedy"),
    [
        (401, "Unauthorized", "Unauthorized", "log in again"),
        (403, "Forbidden", "pods is forbidden", "kubectl auth can-i list pods -n autosre"),
        (403, "Forbidden", "exceeded quota: gpu", "ResourceQuota"),
        (429, "TooManyRequests", "slow down", "busy or starting"),
        (503, "ServiceUnavailable", "etcd is starting", "busy or starting"),
        (404, "NotFound", "the server could not find the requested resource", "no Pod of v1"),
        (422, "Invalid", "spec: bad", "the field that the message names"),
    ],
)
def test_a_refusal_says_what_to_do(code: int, reason: str, message: str, remedy: str) -> None:
    with client_of(refuses(code, reason, message)) as (client, _), pytest.raises(KubeError) as told:
        client.find("Pod")
    assert (told.value.status, told.value.reason) == (code, reason)
    assert message in told.value.message
    assert remedy in told.value.remedy


def test_a_conflict_says_whether_it_exists_or_was_changed() -> None:
    with (
        client_of(refuses(409, "AlreadyExists", "it is there")) as (client, _),
        pytest.raises(ConflictError, match="apply it instead"),
    ):
        client.create(config_map())
    with (
        client_of(refuses(409, "Conflict", "the object has been modified")) as (client, _),
        pytest.raises(ConflictError, match="read it again"),
    ):
        client.replace(config_map())


def test_a_server_that_is_not_there_is_named() -> None:
    configuration = Configuration(host="http://127.0.0.1:1")
    with (
        ApiServerClient(configuration, namespace="x") as client,
        pytest.raises(KubeError, match=r"http://127.0.0.1:1 does not answer: .*refused") as e,
    ):
        client.version()
    assert e.value.status == 0
    assert "KUBECONFIG" in e.value.remedy


def test_something_else_than_an_api_server_is_told() -> None:
    with (
        client_of(lambda *_: (200, b"<html>")) as (client, _),
        pytest.raises(KubeError, match="not an API server"),
    ):
        client.version()


def watching(*lines: dict[str, Any]) -> Callable[[str, str], Answer]:
    def answer(_: str, path: str) -> Answer:
        if "watch=true" in path:
            return 200, b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        listed = {"items": [config_map("first")], "metadata": {"resourceVersion": "7"}}
        return 200, json.dumps(listed).encode()

    return answer


def test_a_watch_goes_on_from_the_list_and_ends_with_the_connection() -> None:
    second = {"type": "MODIFIED", "object": config_map("second")}
    with client_of(watching(second)) as (client, script):
        told = [
            (e.type, e.object["metadata"]["name"]) for e in client.watch("ConfigMap", timeout_s=5)
        ]
    assert told == [("ADDED", "first"), ("MODIFIED", "second")]
    assert "resourceVersion=7" in script.asked[1][1]
    assert "timeoutSeconds=5" in script.asked[1][1]


def test_a_watch_ends_quietly_where_its_version_is_too_old() -> None:
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
    with client_of(watching(gone)) as (client, _):
        assert len(list(client.watch("ConfigMap", timeout_s=5))) == 1


def test_a_container_that_has_not_started_has_no_log() -> None:
    waiting = 'container "vllm" in pod "vllm-1" is waiting to start: ContainerCreating'
    with client_of(refuses(400, "BadRequest", waiting)) as (client, _):
        assert client.logs("vllm-1") == []
    with client_of(lambda *_: (200, b"one\ntwo\n")) as (client, script):
        assert client.logs("vllm-1", container="vllm", tail=2, previous=True) == ["one", "two"]
    assert script.asked[0][1].endswith("/log?tailLines=2&container=vllm&previous=true")


def test_the_error_channel_tells_the_exit_code() -> None:
    failed = {"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}
    assert exit_code_of(json.dumps({"status": "Success"}), pod="p") == 0
    assert exit_code_of(json.dumps(failed), pod="p") == 3
    with pytest.raises(KubeError, match="no such program"):
        exit_code_of(json.dumps({"status": "Failure", "message": "no such program"}), pod="p")
    with pytest.raises(KubeError, match="without an exit code"):
        exit_code_of("", pod="p")


def test_a_command_in_a_pod_that_is_not_there_is_refused_as_such() -> None:
    with (
        client_of(refuses(404, "NotFound", 'pods "q" not found')) as (client, script),
        pytest.raises(KubeError, match='pods "q" not found') as told,
    ):
        client.exec("q", ["cat", "/proc/meminfo"])
    assert told.value.status == 404
    path = script.asked[0][1]
    assert path.endswith("/q/exec?command=cat&command=%2Fproc%2Fmeminfo&stdout=true&stderr=true")
