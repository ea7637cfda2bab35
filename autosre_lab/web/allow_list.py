"""The only opening in the address guard: hosts and networks that a person has named.

``AUTOSRE_FETCH_ALLOW=grafana.lab:3000,wiki.lab,10.96.0.0/12:*,[fd00:1::/64]:8080``
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network

from autosre_lab.errors import ConfigError
from autosre_lab.web.addresses import IPAddress, IPNetwork, never_reason

__all__ = ["DEFAULT_PORTS", "AllowList", "AllowedTarget"]

DEFAULT_PORTS = frozenset({80, 443})
"""What may be asked for without an entry that names a port."""

_ENTRY = re.compile(r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<plain>[^:\[\]]+))(?::(?P<port>\d{1,5}|\*))?")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedTarget:
    """One entry: a host or a network, and which ports of it.

    Attributes:
        host: A name in small letters; empty where a network is named.
        network: A network; None where a host is named.
        ports: Ports that may be asked for; None for every port.
    """

    host: str = ""
    network: IPNetwork | None = None
    ports: frozenset[int] | None = DEFAULT_PORTS

    def holds_port(self, port: int) -> bool:
        """Whether the entry opens a port."""
        return self.ports is None or port in self.ports


@dataclass(frozen=True, slots=True)
class AllowList:
    """What may be fetched besides ports 80 and 443 of public addresses.

    Attributes:
        targets: The entries, in the order they were written.
    """

    targets: tuple[AllowedTarget, ...] = ()

    @classmethod
    def parse(cls, text: str) -> AllowList:
        """Read entries separated by commas: ``host``, ``host:port``, a network, ``network:port``.

        Without a port an entry opens 80 and 443; ``:*`` opens every port. An IPv6 network with a
        port stands in brackets.

        Raises:
            ConfigError: An entry is neither a host nor a network.
        """
        entries = (entry.strip().lower() for entry in text.split(","))
        return cls(tuple(_target(entry) for entry in entries if entry))

    def opens(self, host: str, port: int, addresses: Iterable[IPAddress]) -> bool:
        """Whether a host, with all the addresses it has, may be asked at a port.

        Cloud metadata, link-local and multicast addresses are never opened.
        """
        addresses = list(addresses)
        if any(never_reason(address) for address in addresses):
            return False
        fitting = [target for target in self.targets if target.holds_port(port)]
        if any(target.host == host for target in fitting):
            return True
        networks = [target.network for target in fitting if target.network is not None]
        return bool(addresses) and all(
            any(address in network for network in networks) for address in addresses
        )


def _target(entry: str) -> AllowedTarget:
    try:
        # An IPv6 network without a port needs no brackets.
        return AllowedTarget(network=ip_network(entry))
    except ValueError:
        pass
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise _unreadable(entry)
    ports = _ports(entry, match["port"])
    where = (match["bracketed"] or match["plain"]).rstrip(".")
    try:
        return AllowedTarget(network=ip_network(where), ports=ports)
    except ValueError:
        if match["bracketed"] or "/" in where or not _NAME.fullmatch(where):
            raise _unreadable(entry) from None
    return AllowedTarget(host=where, ports=ports)


def _ports(entry: str, port: str | None) -> frozenset[int] | None:
    if port is None:
        return DEFAULT_PORTS
    if port == "*":
        return None
    if not 0 < int(port) < 65536:
        raise _unreadable(entry)
    return frozenset({int(port)})


def _unreadable(entry: str) -> ConfigError:
    return ConfigError(
        f"AUTOSRE_FETCH_ALLOW: {entry!r} is neither a host nor a network",
        remedy="write host, host:port, 10.96.0.0/12 or 10.96.0.0/12:8080, separated by commas",
    )
