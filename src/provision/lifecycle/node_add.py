"""`node add`: what it says before a machine is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from provision.errors import InvalidInput, UsageError

if TYPE_CHECKING:
    from provision.inventory import Site
    from provision.workflows import Request

OFFICES = {"kube_control_plane": "control plane", "etcd": "etcd member", "gpu_node": "GPU node", "kube_node": "worker"}


def check(site: Site, request: Request) -> None:
    """Refuse hosts of which nothing would come (InvalidInput), and a cluster without members (UsageError)."""
    if not request.hosts:
        raise UsageError("name the hosts to add", hint="provision node add NAME -i SITE")
    for name in request.hosts:
        if name in request.without:
            raise UsageError(f"{name} cannot be added and passed over", hint="take it out of --without")
        if not offices(site, name):
            hint = f"write it under [kube_node], for a worker: {name} ansible_host={site.host(name).connect_address}"
            raise InvalidInput(f"{name} is in no group of nodes", hint=hint, location=str(site.path))
    if all(host.name in request.hosts for host in site.control_planes):
        raise UsageError(
            "all control planes of the site are named: there would be no cluster to add them to",
            hint=f"make the cluster with: provision cluster -i {site.path.name}",
        )


def offices(site: Site, name: str) -> tuple[str, ...]:
    """What a host will be: control plane, etcd member, load balancer, GPU node or worker."""
    found = [word for group, word in OFFICES.items() if name in site.groups.get(group, ())]
    if any(host.name == name for host in site.etcd_members) and "etcd member" not in found:
        found.append("etcd member")
    if any(host.name == name for host in site.load_balancers):
        found.append("load balancer")
    return tuple(word for word in found if word != "worker" or found == ["worker"])


def blast(site: Site, request: Request) -> Sequence[str]:
    """Who comes as what, what else is touched, and whether the API is interrupted."""
    lines = [f"{name} joins as {' and '.join(offices(site, name))}" for name in request.hosts]
    told = balancers_told(site, request.hosts)
    programs = "HAProxy and keepalived are" if site.api_mode == "vip" else "the local HAProxy is"
    lines.append(f"{programs} reloaded on {told}: connections stay" if told else "no other host is changed")
    lines.append("the API is not interrupted; nothing else is restarted")
    members = site.etcd_members
    if len(members) % 2 == 0 and any(host.name in request.hosts for host in members):
        lines.append(
            f"careful: the site has {len(members)} etcd members, an even number, which survives no more losses than "
            f"{len(members) - 1}: add one more"
        )
    return lines


def balancers_told(site: Site, hosts: Sequence[str]) -> str:
    """Who else must learn of these hosts, since a control plane or a balancer changes; empty when nobody must.

    Without names: some that the site has may never have come in. The machines know that, and so does a plan.
    """
    leads = {host.name for host in (*site.control_planes, *site.load_balancers)}
    holders = {"vip": site.load_balancers, "local": site.nodes, "external": ()}[site.api_mode]
    if not leads & set(hosts) or all(host.name in hosts for host in holders):
        return ""
    return "the cluster's other balancers" if site.api_mode == "vip" else "each other node of the cluster that answers"
