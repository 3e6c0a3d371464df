"""Which addresses the hosts of a site get in a rehearsal."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from provision.errors import InvalidInput, PreflightRefused
from provision.sandbox import checks
from provision.sandbox.engine import Network

if TYPE_CHECKING:
    from provision.inventory import Host, Site

_CANDIDATES = tuple(IPv4Network(f"10.{number}.0.0/24") for number in range(77, 200))
_HOST_VARIABLES = ("ansible_host", "ip", "access_ip")


@dataclass(frozen=True)
class Moved:
    """Where everything goes."""

    subnet: IPv4Network
    hosts: Mapping[str, str]
    """The new address of each host, by name."""
    vip: str
    """The new VIP; empty where the site has none."""
    replaced: Mapping[str, str]
    """Every address of the site's that has a new one."""


def move(site: Site, hosts: Iterable[Host], subnet: IPv4Network) -> Moved:
    """Give each host and the VIP an address in the network: with its old last number where that is free.

    Raises InvalidInput when the network is too small.
    """
    free = {subnet[number] for number in range(2, subnet.num_addresses - 1)}
    vip = str(site.setting("cluster_vip") or "")
    new_vip = str(_take(free, subnet, vip)) if vip else ""
    replaced, moved = ({vip: new_vip} if vip else {}), {}
    for host in hosts:
        address = str(_take(free, subnet, host.address))
        moved[host.name] = address
        own = (str(host.vars.get(name) or "") for name in _HOST_VARIABLES)
        replaced.update({old: address for old in own if _is_address(old)})
    return Moved(subnet, moved, new_vip, replaced)


def _take(free: set[IPv4Address], subnet: IPv4Network, old: str) -> IPv4Address:
    wish = subnet[int(IPv4Address(old)) % 256] if _is_address(old) else None
    if wish not in free:
        if not free:
            raise InvalidInput(f"{subnet} is too small for the hosts of the site", hint="take fewer with --workers N")
        wish = max(free)
    free.remove(wish)
    return wish


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def free_subnet(site: Site, wanted: str = "") -> IPv4Network:
    """The network that is asked for, or one that neither this machine nor the site uses.

    Raises InvalidInput for what is no /24, PreflightRefused when the network is taken.
    """
    if wanted:
        subnet = parsed(wanted)
        _require_free(subnet)
        return subnet
    for candidate in _CANDIDATES:
        if any(candidate.overlaps(other) for other in _ranges(site)):
            continue
        try:
            _require_free(candidate)
        except PreflightRefused:
            continue
        return candidate
    raise PreflightRefused("this machine has no free network for a rehearsal", hint="name one: --network 10.99.0.0/24")


def _require_free(subnet: IPv4Network) -> None:
    checks.check_subnet(Network("", str(subnet), str(subnet[1])))


def parsed(text: str) -> IPv4Network:
    """The /24 network that a text means. Raises InvalidInput."""
    try:
        subnet = IPv4Network(text)
    except ValueError as error:
        raise InvalidInput(f"{text} is no network: {error}", hint="for example --network 10.99.0.0/24") from error
    if subnet.prefixlen != 24:
        raise InvalidInput(f"a sandbox has a /24 network, {text} is none", hint="for example --network 10.99.0.0/24")
    return subnet


def _ranges(site: Site) -> Iterator[IPv4Network]:
    """What the site itself uses: the networks of its hosts, the pods and the Services."""
    for host in site.hosts:
        if _is_address(host.address):
            yield IPv4Network((host.address, 24), strict=False)
    for name in ("cluster_pod_cidr", "cluster_service_cidr"):
        try:
            yield ipaddress.IPv4Network(str(site.setting(name)), strict=False)
        except ValueError:
            continue
