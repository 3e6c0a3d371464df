"""What must be true of a site as a whole, checked offline: groups, names, addresses, ranges, the way to the API.

Each check yields every problem it finds, with the place in the operator's file and the fix.
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from difflib import get_close_matches

from provision import aliases, catalog, specs
from provision.errors import InvalidInput, Location
from provision.inventory import OWN_GROUPS, Host, Site

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_IMPLICIT_GROUPS = ("all", "ungrouped")
_API_SERVER_PORT = 6443
_SERVICE_PREFIXES = range(12, 29)
"""The API server takes no Service range larger than /12; smaller than /28 leaves no room for the cluster's own."""
_MAX_NODE_PREFIX_DIFFERENCE = 16
"""The controller manager divides the pod range into at most 2^16 shares."""

Problems = Iterator[InvalidInput]


def groups(site: Site) -> Problems:
    """There are control planes, every host has a place, and no group's name is misspelt."""
    misspelt: set[str] = set()
    for name in site.groups:
        if meant := _meant_group(name):
            misspelt.add(name)
            yield InvalidInput(
                f"the group {name} is not known",
                hint=f"did you mean {meant}?",
                location=_line(site, rf"^\s*\[?{re.escape(name)}(:\w+)?\]?\s*:?\s*(#.*)?$"),
            )
    if not site.control_planes and not misspelt:
        yield InvalidInput(
            "there is no control plane",
            hint="put at least one host into the group kube_control_plane",
            location=str(site.path),
        )
    for host in site.hosts:
        if not host.groups:
            yield InvalidInput(
                f"the host {host.name} is in no group",
                hint="put it into kube_node, or into another group, or take it out of the inventory",
                location=_host_line(site, host),
            )


def _meant_group(name: str) -> str | None:
    if name in OWN_GROUPS or name in _IMPLICIT_GROUPS:
        return None
    near = get_close_matches(name.replace("-", "_"), OWN_GROUPS, 1, specs.NEAR)
    return aliases.former_group(name) or (near[0] if near else None)


def names(site: Site) -> Problems:
    """Names that Kubernetes takes, each of them once."""
    first: dict[str, Host] = {}
    for host in members(site):
        if len(host.node_name) > 63 or not _DOMAIN.fullmatch(host.node_name):
            fixed = re.sub(r"[^a-z0-9.-]+", "-", host.node_name).strip("-.")[:63]
            yield InvalidInput(
                f"{host.name} cannot be a node's name: letters, digits, dashes and dots, at most 63",
                hint=f"call it {fixed}" if fixed else None,
                location=_host_line(site, host),
            )
        if (other := first.setdefault(host.node_name, host)) is not host:
            yield InvalidInput(
                f"{host.name} and {other.name} are the same node's name",
                hint="node names are lower-case",
                location=_host_line(site, host),
            )
    for setting in ("cluster_name", "cluster_domain"):
        value = str(site.setting(setting))
        if not _DOMAIN.fullmatch(value):
            yield InvalidInput(
                f"{setting}: {value!r} is not a DNS name",
                hint="lower-case letters, digits, dashes and dots",
                location=site.location_of(setting),
            )


def addresses(site: Site) -> Problems:
    """Every machine of the cluster has an IPv4 address that the others can reach, and no two have the same."""
    for host in members(site):
        where = host.location_of("ip", "ansible_host") or _host_line(site, host)
        address = _ipv4(host.address)
        if address is None:
            yield InvalidInput(
                f"{host.name} has no IPv4 address" + (f": {host.address!r} is none" if host.address else ""),
                hint="set ip= to its address in the cluster's network",
                location=where,
            )
        elif address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local:
            yield InvalidInput(
                f"{host.name}: other machines cannot reach {address}",
                hint="set ip= to its address in the cluster's network",
                location=where,
            )
        other = host.vars.get("access_ip", host.address)
        if other != host.address:
            yield InvalidInput(
                f"{host.name}: access_ip {other} is not its address {host.address}",
                hint="machines of a cluster reach each other at their ip: set ip to it, and take access_ip out",
                location=host.location_of("access_ip") or where,
            )
    yield from _twice(site, "address", lambda host: host.address, ("ip", "ansible_host"))
    yield from _twice(site, "ssh address", _ssh_target, ("ansible_host", "ip"))


def _ssh_target(host: Host) -> str:
    return f"{host.connect_address}:{host.vars.get('ansible_port', 22)}"


def _twice(site: Site, what: str, key: Callable[[Host], str], where: tuple[str, ...]) -> Problems:
    hosts: dict[str, list[Host]] = defaultdict(list)
    for host in members(site):
        if key(host):
            hosts[key(host)].append(host)
    for value, same in hosts.items():
        if len(same) > 1 and (what == "address" or len({host.address for host in same}) > 1):
            yield InvalidInput(
                f"{' and '.join(host.name for host in same)} have the same {what} {value}",
                hint="give each its own",
                location=same[-1].location_of(*where) or _host_line(site, same[-1]),
            )


def ranges(site: Site) -> Problems:
    """Pods, Services and machines each have a range of their own, large enough for all nodes."""
    found: dict[str, ipaddress.IPv4Network] = {}
    for setting in ("cluster_pod_cidr", "cluster_service_cidr"):
        value, location = str(site.setting(setting)), site.location_of(setting)
        try:
            found[setting] = ipaddress.IPv4Network(value)
        except ValueError:
            fixed = _network(value)
            hint = f"write {fixed}" if fixed else "write an IPv4 range, for example 10.244.0.0/16"
            yield InvalidInput(f"{setting}: {value!r} is not an IPv4 range", hint=hint, location=location)
    pods, services = found.get("cluster_pod_cidr"), found.get("cluster_service_cidr")
    if pods and services and pods.overlaps(services):
        yield InvalidInput(
            f"pods ({pods}) and Services ({services}) overlap",
            hint="change cluster_pod_cidr or cluster_service_cidr",
            location=_own_location(site, "cluster_pod_cidr", "cluster_service_cidr"),
        )
    if services and services.prefixlen not in _SERVICE_PREFIXES:
        yield InvalidInput(
            f"cluster_service_cidr: /{services.prefixlen} is not a size that Kubernetes takes",
            hint="write a range between /12 and /28",
            location=site.location_of("cluster_service_cidr"),
        )
    if pods:
        yield from _pod_prefix(site, pods)
    for setting, network in found.items():
        inside = [host for host in members(site) if (address := _ipv4(host.address)) and address in network]
        if inside:
            first = f"{inside[0].name} ({inside[0].address})"
            own_address = inside[0].location_of("ip", "ansible_host")
            yield InvalidInput(
                f"{first}{f' and {len(inside) - 1} more lie' if inside[1:] else ' lies'} in {setting} {network}",
                hint=f"choose a range for {setting} that holds no machine",
                location=site.location_of(setting) if _is_set(site, setting) else own_address,
            )


def _pod_prefix(site: Site, pods: ipaddress.IPv4Network) -> Problems:
    try:
        prefix = int(str(site.setting("cluster_pod_prefix")))
    except ValueError:
        return  # its type is reported already
    location, longest = site.location_of("cluster_pod_prefix"), min(28, pods.prefixlen + _MAX_NODE_PREFIX_DIFFERENCE)
    if not pods.prefixlen < prefix <= longest:
        yield InvalidInput(
            f"cluster_pod_prefix: /{prefix} does not divide {pods} among nodes",
            hint=f"choose a length between {pods.prefixlen + 1} and {longest}",
            location=location,
        )
    elif len(site.nodes) > (room := 2 ** (prefix - pods.prefixlen)):
        yield InvalidInput(
            f"{pods} in shares of /{prefix} is enough for {room} nodes, the site has {len(site.nodes)}",
            hint="choose a larger cluster_pod_cidr or a longer cluster_pod_prefix",
            location=_own_location(site, "cluster_pod_cidr", "cluster_pod_prefix"),
        )


def api(site: Site) -> Problems:
    """One way to the API, and a VIP that can be one."""
    vip, external = site.setting("cluster_vip"), site.setting("cluster_api_address")
    port_location = site.location_of("cluster_api_port")
    if vip and external:
        yield InvalidInput(
            "cluster_vip and cluster_api_address exclude each other",
            hint="keep cluster_vip for keepalived and HAProxy of ours, cluster_api_address for a balancer of yours",
            location=site.location_of("cluster_api_address"),
        )
    if vip:
        yield from _vip(site, str(vip))
    port = str(site.setting("cluster_api_port"))
    if port.isdigit() and not 0 < int(port) < 65536:
        yield InvalidInput(f"cluster_api_port: {port} is not a port", hint="choose 1 to 65535", location=port_location)
    balancers = site.load_balancers if vip else () if external else site.control_planes
    if port == str(_API_SERVER_PORT) and any("kube_control_plane" in host.groups for host in balancers):
        yield InvalidInput(
            f"cluster_api_port {port} is taken by the API servers on the same hosts",
            hint="choose 8443, or hosts of their own in the group load_balancer",
            location=port_location,
        )


def _vip(site: Site, value: str) -> Problems:
    location = site.location_of("cluster_vip")
    vip = _ipv4(value)
    if vip is None:
        yield InvalidInput(
            f"cluster_vip: {value!r} is not an IPv4 address", hint="write a free address", location=location
        )
        return
    for host in site.hosts:
        if value in (host.address, host.connect_address):
            yield InvalidInput(
                f"cluster_vip {vip} is the address of {host.name}",
                hint="choose a free address in the load balancers' network",
                location=location,
            )
            return
    for setting in ("cluster_pod_cidr", "cluster_service_cidr"):
        network = _network(str(site.setting(setting)))
        if network and vip in network:
            yield InvalidInput(
                f"cluster_vip {vip} lies in {setting} {network}",
                hint="choose an address of the machines' network",
                location=location,
            )
            return


def kube_vip(site: Site) -> Problems:
    """Kubespray's kube-vip and ours mean the same address: keepalived serves it."""
    seen = site.control_planes[0].vars
    address, vip = str(seen.get("kube_vip_address") or ""), str(site.setting("cluster_vip") or "")
    on = str(seen.get("kube_vip_enabled", False)).lower() == "true"
    if on and not vip and not site.setting("cluster_api_address"):
        yield InvalidInput(
            "kube_vip_enabled needs the address to serve",
            hint="set cluster_vip to it",
            location=site.location_of("kube_vip_enabled"),
        )
    elif address and address != vip:
        yield InvalidInput(
            f"kube_vip_address is {address}, cluster_vip is {vip or 'empty'}",
            hint="keep cluster_vip",
            location=site.location_of("kube_vip_address"),
        )
    elif address and not on:
        yield InvalidInput(
            "kube_vip_address without kube_vip_enabled: whether the VIP is wanted is not clear",
            hint="for a VIP set cluster_vip, for none take the line out",
            location=site.location_of("kube_vip_address"),
        )


def pods_per_node(site: Site) -> Problems:
    """A node has no more pods than its share of the pod range has addresses.

    Calico is left out: it gives a node further blocks of addresses as it needs them.
    """
    prefix = str(site.setting("cluster_pod_prefix"))
    if not prefix.isdigit() or int(prefix) > 30 or site.setting("cluster_network_provider") == "calico":
        return
    room = 2 ** (32 - int(prefix)) - 3
    seen: set[object] = set()
    for host in site.nodes:
        wanted = host.vars.get("kubernetes_max_pods", specs.specs()["kubernetes_max_pods"].default)
        if not str(wanted).isdigit() or int(str(wanted)) <= room or wanted in seen:
            continue
        seen.add(wanted)
        yield InvalidInput(
            f"kubernetes_max_pods is {wanted}, a share of /{prefix} has addresses for {room} pods",
            hint=f"set kubernetes_max_pods to at most {room}, or choose a shorter cluster_pod_prefix",
            location=host.location_of("kubernetes_max_pods") or site.location_of("cluster_pod_prefix"),
        )


def version(site: Site) -> Problems:
    """A Kubernetes version that the catalog knows."""
    wanted = str(site.setting("cluster_version"))
    known = catalog.load().known_versions()
    if wanted not in known:
        near = get_close_matches(wanted, known, 1)
        yield InvalidInput(
            f"cluster_version: Kubernetes {wanted} is not in the catalog",
            hint=f"known are {', '.join(known)}" + (f"; did you mean {near[0]}?" if near else ""),
            location=site.location_of("cluster_version"),
        )


def even_etcd(site: Site) -> Problems:
    """A new cluster's etcd has an odd number of members. One that runs passes through even ones: not in `ALL`."""
    count, group = len(site.etcd_members), "etcd" if site.members("etcd") else "kube_control_plane"
    if count and count % 2 == 0:
        yield InvalidInput(
            f"etcd has {count} members: that survives no more failures than {count - 1}",
            hint="make it one or three" if count == 2 else "add one or take one away",
            location=_line(site, rf"^\s*\[?{group}\]?\s*:?\s*(#.*)?$"),
        )


ALL = (groups, names, addresses, ranges, pods_per_node, api, kube_vip, version)


def members(site: Site) -> tuple[Host, ...]:
    """The machines that are part of the cluster or serve its API."""
    return tuple(host for host in site.hosts if {"k8s_cluster", "etcd", "load_balancer"} & set(host.groups))


def _ipv4(value: object) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(str(value))
    except ValueError:
        return None


def _network(value: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(value, strict=False) if "/" in value else None
    except ValueError:
        return None


def is_default(host: Host, setting: str) -> bool:
    """Whether a host has the default of a setting."""
    return host.origins[setting] == specs.specs()[setting].location


def _is_set(site: Site, setting: str) -> bool:
    return bool(site.control_planes) and not is_default(site.control_planes[0], setting)


def _own_location(site: Site, *settings: str) -> Location:
    """Of settings that contradict each other, the first that the operator wrote."""
    return site.location_of(*[name for name in settings if _is_set(site, name)] or settings)


def is_only_in_overlay(site: Site, host: Host) -> bool:
    """Whether a sandbox has a node for a host that the site has no more."""
    return site.overlay is not None and not host.groups and not _line(site, _beginning(host)).line


def _host_line(site: Site, host: Host) -> Location:
    return host.location_of("ip", "ansible_host") or _line(site, _beginning(host))


def _beginning(host: Host) -> str:
    return rf"^\s*{re.escape(host.name)}(\s|:|$)"


def _line(site: Site, pattern: str) -> Location:
    """The first line of the site's inventory file that matches."""
    for number, line in enumerate(site.path.read_text(encoding="utf-8").splitlines(), 1):
        if re.search(pattern, line):
            return Location(str(site.path), number)
    return Location(str(site.path))
