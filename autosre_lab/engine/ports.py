"""Ports on loopback: the usual one, a free one, or exactly the one that was asked for."""

from __future__ import annotations

import socket

import psutil

from autosre_lab.errors import PortTakenError

__all__ = ["choose_port"]

STEP, STEPS = 10, 50
"""8010, 8020, 8030 …: the engine's and the proxy's do not meet."""

_EPHEMERAL = 32768


def choose_port(asked: int, *, usual: int, variable: str, avoid: int = 0) -> int:
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
        if not _is_free(asked):
            raise PortTakenError(
                f"port {asked} is taken{_holder(asked)}",
                remedy=f"end what listens there, or choose another with {variable} "
                "(0 takes a free one)",
            )
        return asked
    if usual != avoid and _is_free(usual):
        return usual
    # Below the range from which the kernel gives ports to connections: one of those might take the
    # port of a service that is being started again.
    for port in range(usual, min(usual + STEPS * STEP, _EPHEMERAL), STEP):
        if port != avoid and _is_free(port):
            return port
    with socket.socket() as probe, socket.socket() as another:
        probe.bind(("127.0.0.1", 0))
        another.bind(("127.0.0.1", 0))
        found = int(probe.getsockname()[1])
        return found if found != avoid else int(another.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
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
