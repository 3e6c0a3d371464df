"""Filters on IPv4 and IPv6 ranges, with the standard library alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def nth_address(cidr: str, number: int) -> str:
    """The address `number` places after the start of `cidr`: `10.96.0.0/12 | nth_address(10)` is 10.96.0.10."""
    try:
        return str(ipaddress.ip_network(cidr)[number])
    except (ValueError, IndexError) as error:
        raise AnsibleFilterError(f"nth_address: {cidr}: {error}") from error


def host_subnet(host: Mapping[str, Any], address: str) -> str:
    """The subnet of the interface that holds `address`, as the probe found it: 10.0.0.0/24; /32 when none does."""
    for interface in host.get("interfaces", []):
        for entry in interface["addresses"]:
            if entry["address"] == address:
                return str(ipaddress.ip_interface(f"{address}/{entry['prefix']}").network)
    return str(ipaddress.ip_network(address))


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them."""
        return {"host_subnet": host_subnet, "nth_address": nth_address}
