"""A socket to listen on, or an error that says who has it and what to do."""

from __future__ import annotations

import resource
import socket

from autosre_lab.errors import ConfigError, PortTakenError

__all__ = ["BACKLOG", "IDLE_S", "allow_descriptors", "listen", "url_of"]

IDLE_S = 75.0
"""Seconds after which a connection is closed that sends nothing, or only half a request's head."""

BACKLOG = 2048
"""Connections the kernel holds for us: a burst of hundreds must not be refused."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; 0 takes a free port.

    Raises:
        PortTakenError: Somebody else listens there, or we may not.
        ConfigError: It is no address or port of this machine.
    """
    if not 0 <= port < 2**16:
        raise ConfigError(f"{port} is no port", remedy="choose one from 1 to 65535, or 0")
    try:
        family, *_, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(
            f"{host} port {port} is no address of this machine",
            remedy="listen on 127.0.0.1, or on 0.0.0.0 with a token",
        ) from error
    except OSError as error:
        raise PortTakenError(
            f"port {port} on {host} cannot be listened on: {error.strerror}",
            remedy=f"end what listens there (`ss -ltnp 'sport = :{port}'` names it), "
            "or choose another port",
        ) from error


def url_of(listener: socket.socket) -> str:
    """Return the base URL of a listening socket, with the port that it got."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def allow_descriptors(wanted: int) -> None:
    """Raise this process's limit of open files as far as it may, if it is lower than wanted.

    The usual limit of 1,024 would refuse a client without a word to it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < reachable:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
