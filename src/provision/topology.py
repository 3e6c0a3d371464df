"""Who does what in the cluster, decided from the groups and from what the probe found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Probes = Mapping[str, Mapping[str, Mapping[str, Any]]]


def node_name(host: str) -> str:
    """The name under which an inventory host is a node of the cluster."""
    return host.lower()


def address(variables: Mapping[str, Any]) -> str:
    """A host's own address: `ip`, else `ansible_host`, else its inventory name."""
    return str(variables.get("ip") or variables.get("ansible_host") or variables["inventory_hostname"])


def members(names: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """[{host, name, address}] for inventory names, in their order."""
    return [{"host": name, "name": node_name(name), "address": address(hostvars[name])} for name in names]


def first(names: Sequence[str], *conditions: Callable[[str], object]) -> str:
    """The first name that meets the earliest condition that anyone meets; else the first name; "" without names."""
    for condition in conditions:
        for name in names:
            if condition(name):
                return name
    return names[0] if names else ""


def control_plane_leader(names: Sequence[str], probes: Probes) -> str:
    """The control plane that acts for the cluster: a healthy member, else a member, else the first that answered.

    `probes` holds the probe's result by inventory name; a host that did not answer is not in it.
    """

    def found(name: str) -> Mapping[str, Any]:
        return probes.get(name, {}).get("kubernetes", {})

    return first(
        [name for name in names if name in probes] or list(names),
        lambda name: found(name).get("api_ready") and found(name).get("admin_conf"),
        lambda name: found(name).get("admin_conf"),
    )


def cluster_exists(names: Sequence[str], probes: Probes) -> bool:
    """True when a control plane is a member already."""
    return any(
        probes.get(name, {}).get("kubernetes", {}).get("admin_conf")
        and "kube-apiserver" in probes[name]["kubernetes"].get("manifests", [])
        for name in names
    )


def etcd_leader(names: Sequence[str], probes: Probes) -> str:
    """The etcd member that acts for the others: a healthy one, else one with data, else the first that answered."""

    def found(name: str) -> Mapping[str, Any]:
        return probes.get(name, {}).get("etcd", {})

    return first(
        [name for name in names if name in probes] or list(names),
        lambda name: found(name).get("healthy"),
        lambda name: found(name).get("ca_fingerprint"),
        lambda name: found(name).get("data_dir_present"),
    )


def api_access(vip: str, external: str) -> str:
    """How machines reach the API: "vip", "external" or "local"."""
    if vip:
        return "vip"
    return "external" if external else "local"


def balancer(mode: str, name: str, balancers: Sequence[str], nodes: Sequence[str]) -> str:
    """Which balancer a host runs: "vip", "local" or "none"."""
    if mode == "vip" and name in balancers:
        return "vip"
    return "local" if mode == "local" and name in nodes else "none"
