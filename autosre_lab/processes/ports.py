"""Ports on loopback: the usual one, a free one, or exactly the one that was asked for."""

from __future__ import annotations

import socket
from types import TracebackType

import psutil

from autosre_lab.errors import PortTakenError

__all__ = ["ClaimedPort", "choose_port"]

STEP, STEPS = 10, 50
"""8010, 8020, 8030 …: the engine's and the proxy's do not meet."""

_EPHEMERAL = 32768


class ClaimedPort:
    """A port that no other stack takes, though nobody listens there yet. A context manager.

    vLLM listens half a minute after its port was chosen. The claim is an abstract Unix socket: it
    has the scope of the port itself, the network namespace, and ends with the last process that
    holds it, however that ends.

    Args:
        port: The number.
        mark: What claims it; None for the port of a service that runs.
    """

    def __init__(self, port: int, mark: socket.socket | None = None) -> None:
        self.port = port
        self._mark = mark

    def __enter__(self) -> ClaimedPort:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def holds(self) -> tuple[int, ...]:
        """Descriptors; whoever inherits them holds the claim too."""
        return () if self._mark is None else (self._mark.fileno(),)

    def close(self) -> None:
        """Give the claim up here."""
        if self._mark is not None:
            self._mark.close()


def choose_port(asked: int, *, usual: int, variable: str, avoid: int = 0) -> ClaimedPort:
    """Return the port to listen on.

    Args:
        asked: The port that must be; 0 for any.
        usual: Taken if it is free and none was asked for.
        variable: The setting that asks, for the error's remedy.
        avoid: A port that is spoken for, though nobody listens there yet.

    Raises:
        PortTakenError: The port that was asked for is taken.
    """
    if asked:
        claimed = _claimed(asked)
        if claimed is None:
            raise PortTakenError(
                f"port {asked} is taken{_holder(asked)}",
                remedy=f"end what listens there, or choose another with {variable} "
                "(0 takes a free one)",
            )
        return claimed
    # Below the range from which the kernel gives ports to connections: one of those might take the
    # port of a service that is being started again.
    usual_ones = range(usual, min(usual + STEPS * STEP, _EPHEMERAL), STEP)
    for port in dict.fromkeys((usual, *usual_ones)):
        if port != avoid and (claimed := _claimed(port)) is not None:
            return claimed
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port != avoid and (claimed := _claimed(port)) is not None:
            return claimed


def _claimed(port: int) -> ClaimedPort | None:
    """Claim a port; None if somebody listens there, or another stack is about to."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0autosre-port-{port}")
    except OSError:
        mark.close()
        return None
    # In this order: who had the claim before us may have begun to listen.
    if _is_free(port):
        return ClaimedPort(port, mark)
    mark.close()
    return None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    if _is_free(port):
        return " by another stack, which is starting or stopping"
    try:
        for connection in psutil.net_connections("tcp"):
            address = connection.laddr
            listening = connection.status == psutil.CONN_LISTEN and bool(address)
            if listening and tuple(address)[1:] == (port,) and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f" by {name} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""
