"""Whether the fixed addresses lie in the cluster's service range, and nobody else has them."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.refusals import SERVICE_CIDR_REMEDY
from autosre_lab.cluster.release import BROWSER, CODEX_PROXY, ENGINE, PROXY
from autosre_lab.stack.preflight import Check, fail, ok, unknown

__all__ = ["check_addresses_free", "check_service_range", "pinned_addresses"]

Network = ipaddress.IPv4Network

SECTIONS = {
    "vllm": ENGINE,
    "proxy": PROXY,
    "codexProxy": CODEX_PROXY,
    "browser": BROWSER,
}
"""Section of the chart's values to the Service's name."""

USUAL_PREFIX = 16
"""What installations choose, or wider: k3s 10.43.0.0/16, kubeadm 10.96.0.0/12."""


def pinned_addresses(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the Services' names and fixed addresses that the chart's values ask for."""
    return {
        name: values[section]["clusterIP"]
        for section, name in SECTIONS.items()
        if section in values and values[section].get("enabled", True)
    }


def check_service_range(
    addresses: Mapping[str, str], ranges: Sequence[Object] | None, kubernetes: Object | None
) -> Check:
    """Whether the API server can give out the addresses.

    Args:
        addresses: Service to address.
        ranges: The server's ServiceCIDR objects; None where it has no such kind.
        kubernetes: The Service default/kubernetes, which has the first address of the range.
    """
    name = "service range"
    told = _told_ranges(ranges or [])
    if told:
        outside = _outside(addresses, told)
        said = ", ".join(map(str, told))
        return _openable(outside, said) if outside else ok(name, f"{said} holds every address")
    first = ((kubernetes or {}).get("spec") or {}).get("clusterIP")
    try:
        base = ipaddress.IPv4Address(first) - 1
    except ValueError:
        return unknown(
            name,
            "the Service default/kubernetes, which shows the range, cannot be read",
            "kubectl get service kubernetes --namespace default",
        )
    widest = _widest_network(base)
    if outside := _outside(addresses, [widest]):
        return _outside_range(outside, f"the cluster's range begins at {base} and")
    if _outside(addresses, [Network((base, max(USUAL_PREFIX, widest.prefixlen)))]):
        return unknown(
            name,
            f"the range begins at {base}; whether it reaches as far as the addresses is not told",
            "read --service-cluster-ip-range in the API server's arguments (k3s: --service-cidr)",
        )
    return ok(name, f"the range begins at {base}")


def check_addresses_free(
    addresses: Mapping[str, str], services: Iterable[Object], namespace: str
) -> Check:
    """Whether no other Service has one of the addresses."""
    name = "addresses"
    owners = {
        service["spec"].get("clusterIP"): (
            service["metadata"]["namespace"],
            service["metadata"]["name"],
        )
        for service in services
    }
    taken = [
        f"{address} (for {wanted}) is {'/'.join(owners[address])}'s"
        for wanted, address in addresses.items()
        if owners.get(address, (namespace, wanted)) != (namespace, wanted)
    ]
    if taken:
        return fail(
            name,
            "; ".join(taken),
            "delete that Service, or give ours another address: AUTOSRE_ENGINE_IP, "
            "AUTOSRE_PROXY_IP, AUTOSRE_CODEX_PROXY_IP, AUTOSRE_BROWSER_IP",
        )
    return ok(name, ", ".join(addresses.values()))


def _told_ranges(ranges: Iterable[Object]) -> list[Network]:
    texts = [cidr for one in ranges for cidr in (one.get("spec") or {}).get("cidrs") or []]
    return [Network(text) for text in texts if ":" not in text]


def _outside(addresses: Mapping[str, str], networks: Sequence[Network]) -> list[str]:
    return [
        f"{name} {address}"
        for name, address in addresses.items()
        if not any(ipaddress.IPv4Address(address) in network for network in networks)
    ]


def _openable(outside: list[str], said: str) -> Check:
    """Return the finding for a server that gives out addresses of any range it is told of."""
    wanted = sorted(
        {str(Network((entry.rpartition(" ")[2], 24), strict=False)) for entry in outside}
    )
    spec = json.dumps(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": "autosre"},
            "spec": {"cidrs": wanted[:1]},
        }
    )
    return fail(
        "service range",
        f"{said} does not hold {', '.join(outside)}",
        f"open the range: echo '{spec}' | kubectl apply -f -; or give the Services other "
        "addresses: AUTOSRE_ENGINE_IP, AUTOSRE_PROXY_IP, AUTOSRE_BROWSER_IP",
    )


def _outside_range(outside: list[str], said: str) -> Check:
    message = f"{said} does not hold {', '.join(outside)}"
    return fail("service range", message, SERVICE_CIDR_REMEDY)


def _widest_network(base: ipaddress.IPv4Address) -> Network:
    """Return the largest network that begins at an address."""
    number = int(base)
    host_bits = (number & -number).bit_length() - 1 if number else 32
    return Network((base, 32 - host_bits))
