"""Whether this machine can carry a sandbox: found out before anything is made."""

from __future__ import annotations

import ipaddress
import json
import shutil
from pathlib import Path
from typing import Any

from provision.errors import PreflightRefused
from provision.paths import cache_home
from provision.sandbox.commands import run
from provision.sandbox.engine import Network, Traits
from provision.sandbox.record import load_all


def check_tools() -> None:
    """Refuse when a tool is missing that every sandbox needs, whatever the engine."""
    for tool, package in {"ip": "iproute2", "ssh": "openssh-client", "ssh-keygen": "openssh-client"}.items():
        if not shutil.which(tool):
            raise PreflightRefused(
                f"the sandbox needs {tool}, which is not installed", hint=f"apt-get install {package}"
            )


def check_room(new_nodes: int, traits: Traits) -> None:
    """Refuse when there is too little memory or disk for `new_nodes` more nodes of that kind."""
    _refuse_if_short("memory", new_nodes * traits.memory_mib, _available_memory(), new_nodes)
    place = next(path for path in (cache_home(), *cache_home().parents) if path.exists())
    _refuse_if_short("disk space", new_nodes * traits.disk_mib, shutil.disk_usage(place).free >> 20, new_nodes)


def _refuse_if_short(what: str, needed: int, free: int, nodes: int) -> None:
    if free < needed:
        raise PreflightRefused(
            f"too little {what}: {nodes} nodes take about {needed} MiB, {free} MiB are free",
            hint="stop another sandbox (`provision sandbox list`), or take hosts out of the inventory",
        )


def _available_memory() -> int:
    """In MiB."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) >> 10


def check_subnet(network: Network) -> None:
    """Refuse when another sandbox, an interface or a route of this machine has addresses of the network."""
    for other in load_all():
        if other.network.name != network.name and _overlap(other.network.subnet, network.subnet):
            raise _in_use(network, f"the sandbox {other.name}", f"provision sandbox down -i {other.site}")
    used = [("interface", name, subnet) for name, subnet in _interface_subnets()]
    used += [("the route through", name, subnet) for name, subnet in _route_subnets()]
    for kind, name, subnet in used:
        if _overlap(subnet, network.subnet):
            raise _in_use(network, f"{kind} {name} of this machine ({subnet})", f"ip address show dev {name}")


def network_is_up(network: Network) -> bool:
    """Whether this machine has the network's gateway address: without it no node can be reached."""
    return any(subnet.partition("/")[0] == network.gateway for _, subnet in _interface_subnets())


def _in_use(network: Network, by: str, command: str) -> PreflightRefused:
    return PreflightRefused(
        f"the network {network.subnet} is in use by {by}",
        hint=f"`{command}`, or give the site's hosts addresses in another network",
    )


def _interface_subnets() -> list[tuple[str, str]]:
    return [
        (link["ifname"], f"{address['local']}/{address['prefixlen']}")
        for link in _ip("address", "show")
        for address in link.get("addr_info", [])
    ]


def _route_subnets() -> list[tuple[str, str]]:
    routes = _ip("route", "show", "table", "main")
    return [(route.get("dev", "?"), route["dst"]) for route in routes if route["dst"] != "default"]


def _ip(*arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(run(["ip", "-4", "-json", *arguments]) or "[]"))


def _overlap(one: str, other: str) -> bool:
    return ipaddress.IPv4Network(one, strict=False).overlaps(ipaddress.IPv4Network(other, strict=False))
