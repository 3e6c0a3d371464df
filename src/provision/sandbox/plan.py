"""Which nodes and which network a site needs; decided without touching anything."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from provision.errors import InvalidInput
from provision.sandbox.engine import Network
from provision.sandbox.record import Node, container_name, name_for, network_name

_PREFIX = 24
_SPARE = "spare1"


@dataclass(frozen=True)
class Wanted:
    """What the site asks the sandbox for."""

    name: str
    site: Path
    network: Network
    nodes: tuple[Node, ...]


def plan(site: Path, addresses: dict[str, str], *, vip: str = "", spare: bool = False) -> Wanted:
    """A node for each host and one /24 network around them; the machine itself takes its first address.

    `addresses` gives each host's own address. With `spare` one machine more, at the next free address.
    Raises InvalidInput when there are no hosts, an address is none, or the addresses cannot share such a network.
    """
    name = name_for(site)
    parsed = {host: _address(host, address, site) for host, address in addresses.items()}
    subnet = _subnet(parsed, site)
    gateway = subnet[1]
    reserved = [*parsed.values(), *([_address("cluster_vip", vip, site)] if vip else [])]
    if gateway in reserved:
        raise InvalidInput(
            f"{gateway} belongs to the machine that runs the sandbox, as its way to the nodes; the site uses it itself",
            hint="give the host or cluster_vip another address",
            location=str(site),
        )
    nodes = [Node(host, container_name(name, host), str(address)) for host, address in parsed.items()]
    if spare:
        nodes.append(_spare(name, subnet, parsed, reserved, site))
    return Wanted(name, site, Network(network_name(name), str(subnet), str(gateway)), tuple(nodes))


def merge(existing: Iterable[Node], wanted: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes that are there and those that are wanted.

    A spare that the site names by now, under whatever name, becomes that host; a host that left the site stays.
    """
    by_address = {node.address: node for node in existing}
    for node in wanted:
        present = by_address.get(node.address)
        by_address[node.address] = replace(present, name=node.name, spare=node.spare) if present else node
    return tuple(sorted(by_address.values(), key=lambda node: ipaddress.ip_address(node.address)))


def _address(host: str, address: str, site: Path) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(address)
    except ValueError as error:
        raise InvalidInput(
            f"{host}: {address or 'nothing'!r} is not an IPv4 address, which a sandbox node needs",
            hint="set ip=ADDRESS or ansible_host=ADDRESS",
            location=str(site),
        ) from error


def _subnet(addresses: dict[str, ipaddress.IPv4Address], site: Path) -> ipaddress.IPv4Network:
    if not addresses:
        raise InvalidInput("the inventory names no host", location=str(site))
    networks = {ipaddress.IPv4Network((address, _PREFIX), strict=False) for address in addresses.values()}
    if len(networks) > 1:
        raise InvalidInput(
            f"a sandbox has one /{_PREFIX} network, the hosts are in {', '.join(map(str, sorted(networks)))}",
            hint="for the sandbox, copy the site and give its hosts addresses in one of them",
            location=str(site),
        )
    return networks.pop()


def _spare(
    sandbox: str,
    subnet: ipaddress.IPv4Network,
    addresses: dict[str, ipaddress.IPv4Address],
    reserved: list[ipaddress.IPv4Address],
    site: Path,
) -> Node:
    free = max(addresses.values()) + 1
    while free in reserved:
        free += 1
    if free not in subnet or free == subnet.broadcast_address:
        raise InvalidInput(f"{subnet} has no address left for a spare node", location=str(site))
    return Node(_SPARE, container_name(sandbox, _SPARE), str(free), spare=True)
