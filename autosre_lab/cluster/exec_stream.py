"""A command in a container, over the API server's websocket."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from autosre_lab.cluster.kube import ExecResult
from autosre_lab.cluster.refusals import explain_refusal, no_answer
from autosre_lab.errors import KubeError

__all__ = ["exit_code_of", "run_in_container"]

STDOUT, STDERR, OUTCOME = 1, 2, 3
"""Channels of the protocol v4.channel.k8s.io."""


def run_in_container(
    configuration: Any,
    url: str,
    *,
    headers: Mapping[str, str],
    pod: str,
    namespace: str | None,
    timeout_s: float,
) -> ExecResult:
    """Run the command that the address names, and wait for its end.

    Raises:
        KubeError: The server refused, the container does not run, or the command did not end.
    """
    from kubernetes.client.exceptions import ApiException
    from kubernetes.stream import ws_client

    untyped: Any = ws_client
    try:
        socket = untyped.websocket_call(
            configuration,
            "GET",
            url,
            headers=dict(headers),
            query_params=[],
            _preload_content=False,
            capture_all=False,
            binary=True,
        )
    except ApiException as error:
        raise _refused(str(error.reason), configuration.host, pod, namespace) from error
    collected = {STDOUT: b"", STDERR: b"", OUTCOME: b""}
    deadline = time.monotonic() + timeout_s
    try:
        while socket.is_open() and (left := deadline - time.monotonic()) > 0:
            socket.update(timeout=left)
            _drain(socket, collected)
        ended = not socket.is_open()
        _drain(socket, collected)
    except Exception as error:
        raise no_answer(configuration.host, f"the connection broke: {error}") from error
    finally:
        socket.close(timeout=1)
        socket.sock.shutdown()  # where the server closed first, close() leaves the socket open
    if not ended and not collected[OUTCOME]:
        raise KubeError(
            f"a command in Pod {pod} did not end within {timeout_s:g} s",
            remedy="give it more time, or look at what the container does: `kubectl logs`",
            status=0,
            reason="Timeout",
        )
    return ExecResult(
        exit_code=exit_code_of(collected[OUTCOME].decode("utf-8", "replace"), pod=pod),
        stdout=collected[STDOUT].decode("utf-8", "replace"),
        stderr=collected[STDERR].decode("utf-8", "replace"),
    )


def _drain(socket: Any, collected: dict[int, bytes]) -> None:
    for channel in collected:
        # Reading an absent channel would wait on the socket once more.
        if channel in socket._channels:
            collected[channel] += socket.read_channel(channel)


def exit_code_of(outcome: str, *, pod: str) -> int:
    """Return the exit code that the error channel's Status object tells.

    Raises:
        KubeError: It tells none: the command could not be started, or the stream was cut.
    """
    try:
        status = json.loads(outcome)
    except ValueError:
        status = {"message": outcome.strip() or "the stream ended without an exit code"}
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise KubeError(
        f"a command in Pod {pod} could not be run: {status.get('message')}",
        remedy="check that the container runs and that its image has the program",
        status=int(status.get("code") or 0),
        reason=str(status.get("reason") or "ExecFailed"),
    )


def _refused(reason: str, server: str, pod: str, namespace: str | None) -> KubeError:
    """Tell a refused handshake, whose code and body stand in the middle of a text."""
    found = re.match(r"Handshake status (\d{3})", reason)
    if found is None:
        return no_answer(server, reason)
    body = reason.rpartition("-+-+- ")[2]
    if body.startswith(("b'", 'b"')):  # older websocket clients print the bytes
        body = ast.literal_eval(body).decode("utf-8", "replace")
    return explain_refusal(
        int(found[1]), body, action="create", kind="Pod", name=f"{pod}/exec", namespace=namespace
    )
