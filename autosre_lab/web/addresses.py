"""Which IP addresses belong to the public internet, judged by our own tables.

Python's ``ipaddress.is_global`` calls ``64:ff9b::7f00:1`` and ``2002:7f00:1::`` public, though
both are ways to write 127.0.0.1. So every address that carries another one is unwrapped, and all
of them have to be public. The tables follow IANA's special-purpose registries (RFC 6890).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import TypeAlias

__all__ = ["IPAddress", "IPNetwork", "judge_address", "never_reason", "parse_address"]

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network

_NEVER: tuple[tuple[IPNetwork, str], ...] = (
    (IPv4Network("169.254.0.0/16"), "a link-local address; cloud metadata lives there"),
    (IPv4Network("100.100.100.200/32"), "a cloud metadata address (Alibaba)"),
    (IPv4Network("168.63.129.16/32"), "a cloud metadata address (Azure)"),
    (IPv4Network("192.0.0.192/32"), "a cloud metadata address (Oracle)"),
    (IPv6Network("fd00:ec2::/32"), "a cloud metadata address (AWS)"),
    (IPv6Network("fd20:ce::254/128"), "a cloud metadata address (Google)"),
    (IPv6Network("fe80::/10"), "a link-local address; cloud metadata lives there"),
    (IPv4Network("224.0.0.0/4"), "a multicast address"),
    (IPv6Network("ff00::/8"), "a multicast address"),
    (IPv4Network("255.255.255.255/32"), "the broadcast address"),
)
"""Refused even where an allow list names them: no page is there, and credentials are."""

_IPV4_NOT_PUBLIC: tuple[tuple[IPv4Network, str], ...] = (
    (IPv4Network("0.0.0.0/8"), "this machine (0.0.0.0/8)"),
    (IPv4Network("10.0.0.0/8"), "a private address (10.0.0.0/8)"),
    (IPv4Network("100.64.0.0/10"), "a carrier's internal address (100.64.0.0/10)"),
    (IPv4Network("127.0.0.0/8"), "a loopback address (127.0.0.0/8)"),
    (IPv4Network("172.16.0.0/12"), "a private address (172.16.0.0/12)"),
    (IPv4Network("192.0.0.0/24"), "a protocol's address (192.0.0.0/24)"),
    (IPv4Network("192.0.2.0/24"), "an address for documentation (192.0.2.0/24)"),
    (IPv4Network("192.88.99.0/24"), "a 6to4 relay (192.88.99.0/24)"),
    (IPv4Network("192.168.0.0/16"), "a private address (192.168.0.0/16)"),
    (IPv4Network("198.18.0.0/15"), "an address for benchmarks (198.18.0.0/15)"),
    (IPv4Network("198.51.100.0/24"), "an address for documentation (198.51.100.0/24)"),
    (IPv4Network("203.0.113.0/24"), "an address for documentation (203.0.113.0/24)"),
    (IPv4Network("240.0.0.0/4"), "a reserved address (240.0.0.0/4)"),
)

_IPV6_PUBLIC = IPv6Network("2000::/3")
"""The only part of IPv6 from which global unicast addresses are given out."""

_IPV6_NOT_PUBLIC: tuple[tuple[IPv6Network, str], ...] = (
    (IPv6Network("::/128"), "this machine (::)"),
    (IPv6Network("::1/128"), "the loopback address (::1)"),
    (IPv6Network("fc00::/7"), "a private address (fc00::/7)"),
    (IPv6Network("fec0::/10"), "a site-local address (fec0::/10)"),
    (IPv6Network("64:ff9b:1::/48"), "a NAT64 address of a private network (64:ff9b:1::/48)"),
    (IPv6Network("2001::/23"), "a protocol's address (2001::/23)"),
    (IPv6Network("2001:db8::/32"), "an address for documentation (2001:db8::/32)"),
    (IPv6Network("3fff::/20"), "an address for documentation (3fff::/20)"),
)

_NAT64_WELL_KNOWN = IPv6Network("64:ff9b::/96")
_CARRIED_LAST = (
    IPv6Network("::/96"),  # IPv4-compatible; :: and ::1 are addresses of their own
    IPv6Network("::ffff:0:0/96"),  # IPv4-mapped
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated
    _NAT64_WELL_KNOWN,
)
_TEREDO = IPv6Network("2001::/32")
_6TO4 = IPv6Network("2002::/16")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)

_JUDGED_BY_WHAT_THEY_CARRY = (_6TO4, _NAT64_WELL_KNOWN)


def parse_address(text: str) -> IPAddress:
    """Return the address; an IPv4 address written as ``::ffff:a.b.c.d`` becomes that one.

    Raises:
        ValueError: It is no address, or has a zone (``%eth0``).
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f"{text} names a zone")
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
    return address


def judge_address(address: str | IPAddress) -> str | None:
    """Return why an address is not one of the public internet, None where it is.

    Args:
        address: The address; text may be any spelling that Python's `ipaddress` knows.

    Raises:
        ValueError: The text is no address.
    """
    known = parse_address(str(address))
    if never := never_reason(known):
        return never
    if isinstance(known, IPv4Address):
        return _first(known, _IPV4_NOT_PUBLIC)
    for inner in _carried(known):
        if private := judge_address(inner):
            return f"{inner} in IPv6 clothes, {private}"
    if special := _first(known, _IPV6_NOT_PUBLIC):
        return special
    if known in _IPV6_PUBLIC or any(known in network for network in _JUDGED_BY_WHAT_THEY_CARRY):
        return None
    return "not a global unicast address (2000::/3)"


def never_reason(address: str | IPAddress) -> str | None:
    """Return why an address is refused whatever an allow list says, None where it is not."""
    known = parse_address(str(address))
    if listed := _first(known, _NEVER):
        return listed
    if isinstance(known, IPv6Address):
        for inner in _carried(known):
            if carried := never_reason(inner):
                return f"{inner} in IPv6 clothes, {carried}"
    return None


def _first(address: IPAddress, table: Iterable[tuple[IPNetwork, str]]) -> str | None:
    return next((reason for network, reason in table if address in network), None)


def _carried(address: IPv6Address) -> list[IPv4Address]:
    """Return every IPv4 address that an IPv6 address may be another name for."""
    number = int(address)
    low = IPv4Address(number & 0xFFFF_FFFF)
    found: list[IPv4Address] = []
    if number > 1 and any(address in network for network in _CARRIED_LAST):
        found.append(low)
    elif address in _6TO4:
        found.append(IPv4Address((number >> 80) & 0xFFFF_FFFF))
    elif address in _TEREDO:
        found.append(IPv4Address((number >> 64) & 0xFFFF_FFFF))
        found.append(IPv4Address(~number & 0xFFFF_FFFF))
    elif address in _NAT64_LOCAL:
        found.extend(_nat64(number, length) for length in (48, 56, 64, 96))
    if (number >> 32) & 0xFFFF_FFFF in _ISATAP:
        found.append(low)
    return found


def _nat64(number: int, length: int) -> IPv4Address:
    """Return the IPv4 address behind a NAT64 prefix (RFC 6052, 2.2): bits 64 to 71 are skipped."""
    octets = number.to_bytes(16, "big")
    start = length // 8
    without_u = octets[:8] + octets[9:] if length < 96 else octets
    return IPv4Address(without_u[start : start + 4])
