"""Whether a drill can be done to a cluster as it is now, and to which host. Nothing here touches a machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from provision.drills.catalog import Drill, Target, Until
from provision.errors import PreflightRefused, UsageError

if TYPE_CHECKING:
    from provision.inventory import Host, Site

Status = Mapping[str, Any]


def impossible(site: Site, drill: Drill, *, containers: bool) -> str:
    """Why this site cannot have the drill at all; empty when it can. `containers`: its nodes are no machines."""
    members, plane = len(site.etcd_members), drill.target is not Target.WORKER
    reasons = {
        f"{drill.own_kernel}; it needs virtual or real machines": containers and bool(drill.own_kernel),
        "it needs two balancers that share a VIP": drill.target is Target.VIP_HOLDER and len(site.load_balancers) < 2,
        "the site has no worker": not plane and not _workers(site),
        "pods need two other nodes to go to": drill.until is Until.RESCHEDULED and len(site.nodes) < 3,
        f"etcd has {members} members: no majority to lose": drill.target is Target.ETCD_MAJORITY and members < 3,
        "it needs a second control plane": plane and drill.takes_api and len(site.control_planes) < 2,
        f"etcd has no majority with one of {members} members away": plane and drill.takes_etcd and members < 3,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def choose(site: Site, drill: Drill, status: Status, asked: str = "") -> Host:
    """The host that the drill injures: `asked`, else the one that fits. Raises UsageError or PreflightRefused."""
    fitting = [host for host in site.hosts if _fits(site, drill.target, status, host)]
    if asked:
        host = site.host(asked)
        if host not in fitting:
            names = ", ".join(each.name for each in fitting) or "no host of the site"
            raise UsageError(f"{drill.name} is for {drill.target}, which {asked} is not now", hint=f"that is {names}")
        return host
    if not fitting:
        raise PreflightRefused(f"{drill.name} is for {drill.target}, and no host of the site is that now")
    return fitting[0]


def injured(site: Site, drill: Drill, host: Host) -> tuple[Host, ...]:
    """All hosts that the drill injures when `host` is the first: more than this one only where a majority is lost."""
    if drill.target is not Target.ETCD_MAJORITY:
        return (host,)
    others = [each for each in site.etcd_members if each != host]
    return (host, *others[: len(site.etcd_members) // 2])


def require_safe(drill: Drill, status: Status, host: Host) -> None:
    """Refuse (PreflightRefused) unless the cluster is healthy and stays able to work while the host is injured."""
    hint = "put that right first: a drill shows something only on a healthy cluster"
    if problems := [str(each.get("message", "")) for each in status.get("problems") or ()]:
        raise PreflightRefused(f"the cluster is not healthy before the drill: {'; '.join(problems)}", hint=hint)
    members = list((status.get("etcd") or {}).get("members") or ())
    if drill.takes_etcd and _is(host, _names(members)):
        left = sum(bool(each.get("healthy")) for each in members) - 1
        if left <= len(members) // 2:
            raise PreflightRefused(f"etcd would be left with {left} of {len(members)} members: no majority")
    planes = [node for node in status.get("nodes") or () if "control-plane" in (node.get("roles") or ())]
    if drill.takes_api and _is(host, _names(planes)) and sum(bool(node.get("ready")) for node in planes) < 2:
        raise PreflightRefused("no control plane would be left")


def _fits(site: Site, target: Target, status: Status, host: Host) -> bool:
    etcd = status.get("etcd") or {}
    leads = bool(etcd.get("leader")) and _is(host, [str(etcd["leader"])])
    match target:
        case Target.VIP_HOLDER:
            return host.name == (status.get("vip") or {}).get("holder")
        case Target.CONTROL_PLANE:
            return host in site.control_planes and host.name != (status.get("vip") or {}).get("holder")
        case Target.ETCD_LEADER:
            return leads
        case Target.ETCD_MAJORITY:
            return host in site.etcd_members
        case Target.ETCD_MEMBER:
            return host in site.etcd_members and not leads
        case Target.WORKER:
            return host in _workers(site)


def _workers(site: Site) -> list[Host]:
    return [host for host in site.nodes if host not in site.control_planes]


def _names(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(each.get("name", "")) for each in entries]


def _is(host: Host, names: Iterable[str]) -> bool:
    return host.node_name in names or host.name in names
