"""Which nodes and which network a site needs; decided without touching anything."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from provision.errors import InvalidInput, Location
from provision.sandbox.engine import Network
from provision.sandbox.record import Node, container_name, name_for, network_name
from provision.sandbox.site import SiteFacts

_PREFIX = 24


@dataclass(frozen=True)
class Wanted:
    """What the site asks the sandbox for."""

    name: str
    site: Path
    network: Network
    nodes: tuple[Node, ...]


def plan(site: SiteFacts, *, spare: bool = False) -> Wanted:
    """A node for each host and one /24 network around them; this machine itself takes its first address.

    With `spare` one node more, at the next free address.
    Raises InvalidInput when there are no hosts, an address is none or that of two, or they cannot share such a network.
    """
    name = name_for(site.path)
    whole = Location(str(site.path))
    addresses = {host.name: _address(host.name, host.address, host.location) for host in site.hosts}
    _refuse_twice(site, addresses)
    subnet = _subnet(set(addresses.values()), whole)
    reserved = {*addresses.values(), *([_address("cluster_vip", site.vip, whole)] if site.vip else [])}
    gateway = subnet[1]
    if gateway in reserved:
        raise InvalidInput(
            f"the site uses {gateway}, which is the address of this machine in the sandbox's network",
            hint="give that host, or cluster_vip, another address",
            location=whole,
        )
    nodes = [Node(host, container_name(name, host), str(address)) for host, address in addresses.items()]
    if spare:
        nodes.append(_spare(name, _free_address(subnet, set(addresses.values()), reserved, whole)))
    return Wanted(name, site.path, Network(network_name(name), str(subnet), str(gateway)), tuple(nodes))


def merge(existing: Iterable[Node], wanted: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes that are there and those that are wanted, by address.

    A spare that the site names by now, under whatever name, becomes that host; a host that left the site stays.
    """
    by_address = {node.address: node for node in existing}
    for node in wanted:
        present = by_address.get(node.address)
        by_address[node.address] = replace(present, name=node.name, spare=node.spare) if present else node
    return tuple(sorted(by_address.values(), key=lambda node: ipaddress.ip_address(node.address)))


def _address(name: str, address: str, location: Location) -> IPv4Address:
    try:
        return IPv4Address(address)
    except ValueError as error:
        raise InvalidInput(
            f"{name}: {address!r} is not an IPv4 address, which a sandbox needs",
            hint="set ip=ADDRESS or ansible_host=ADDRESS",
            location=location,
        ) from error


def _refuse_twice(site: SiteFacts, addresses: Mapping[str, IPv4Address]) -> None:
    first: dict[IPv4Address, str] = {}
    for host in site.hosts:
        other = first.setdefault(addresses[host.name], host.name)
        if other != host.name:
            raise InvalidInput(
                f"{host.name} has the address of {other}, {addresses[host.name]}",
                hint="give each host an address of its own",
                location=host.location,
            )


def _subnet(addresses: set[IPv4Address], location: Location) -> IPv4Network:
    if not addresses:
        raise InvalidInput("the inventory names no host", location=location)
    networks = {IPv4Network((address, _PREFIX), strict=False) for address in addresses}
    if len(networks) > 1:
        raise InvalidInput(
            f"a sandbox has one /{_PREFIX} network, the hosts are in {', '.join(map(str, sorted(networks)))}",
            hint="for the sandbox, copy the site and give its hosts addresses in one of them",
            location=location,
        )
    return networks.pop()


def _free_address(
    subnet: IPv4Network, taken: set[IPv4Address], reserved: set[IPv4Address], location: Location
) -> IPv4Address:
    """The first address behind all hosts that is nobody's."""
    free = max(taken) + 1
    while free in reserved:
        free += 1
    if free not in subnet or free == subnet.broadcast_address:
        raise InvalidInput(f"{subnet} has no address left for a spare node", location=location)
    return free


def _spare(sandbox: str, address: IPv4Address) -> Node:
    name = f"spare{address.packed[-1]}"
    return Node(name, container_name(sandbox, name), str(address), spare=True)
