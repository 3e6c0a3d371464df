"""`node remove`: what it says before a machine is touched, and which lines of the inventory are left over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from provision.errors import PreflightRefused, UsageError
from provision.lifecycle.node_add import balancers_told

if TYPE_CHECKING:
    from provision.inventory import Host, Site
    from provision.workflows import Request


def check(site: Site, request: Request) -> None:
    """Refuse what the site alone shows to be impossible (PreflightRefused, UsageError)."""
    if not request.hosts:
        raise UsageError("name the hosts to remove", hint="provision node remove NAME -i SITE")
    for name in request.hosts:
        if name in request.without:
            raise UsageError(
                f"{name} need not be named in --without", hint="a host that is removed may be dead: leave --without out"
            )
    gone = (*request.hosts, *request.without)
    _require_some(site.control_planes, gone, "control plane", "to take the whole cluster away: provision reset")
    _require_some(site.etcd_members, gone, "etcd member", "add another one first: provision node add NAME")
    if site.load_balancers:
        _require_some(
            site.load_balancers, gone, "load balancer for the VIP", "put another host into load_balancer first"
        )


def _require_some(hosts: Sequence[Host], gone: Sequence[str], what: str, hint: str) -> None:
    if hosts and all(host.name in gone for host in hosts):
        raise PreflightRefused(f"no {what} would be left", hint=hint)


def blast(site: Site, request: Request) -> Sequence[str]:
    """Who goes, what becomes of its pods, what else is touched, and whether the API is interrupted."""
    names = ", ".join(request.hosts)
    lines = [
        f"{names}: Pods move to other nodes, disruption budgets are respected; data in emptyDir is lost",
        "then all that was installed there is removed",
        "of a host that does not answer the records go, and its Pods start elsewhere: make sure that it is off",
    ]
    if told := balancers_told(site, request.hosts):
        lines.append(f"HAProxy is reloaded on {told}: connections stay")
    if any(host.name in request.hosts for host in site.load_balancers):
        lines.append("if it holds the VIP, that moves to another host within half a second")
    lines.append("the API is not interrupted; nothing is restarted on the hosts that stay")
    return [*lines, *_left_without_spare(site, request)]


def _left_without_spare(site: Site, request: Request) -> Iterator[str]:
    """What the cluster does not survive afterwards, when the hosts that go were its spare."""
    hosts = request.hosts
    members = [host for host in site.etcd_members if host.name not in hosts]
    if len(members) < len(site.etcd_members):
        dead = sum(host.name in request.without for host in members)
        spare = max(0, (len(members) - 1) // 2 - dead)
        count = f"{len(members)} etcd member{'s' if len(members) > 1 else ''}"
        yield f"{count} will be left: the cluster survives the loss of {spare or 'NONE of them'}"
    planes = [host for host in site.control_planes if host.name not in hosts]
    if len(planes) == 1 < len(site.control_planes):
        yield f"one control plane will be left: the API stands and falls with {planes[0].name}"


def lines_to_delete(site: Site, hosts: Sequence[str]) -> list[str]:
    """What names these hosts in the site's own files: `file:line` and the line, or a file of their own."""
    lines = [
        f"{site.path}:{number}: {text.strip()}"
        for number, text in enumerate(site.path.read_text(encoding="utf-8").splitlines(), 1)
        if any(_names(text, host) for host in hosts)
    ]
    own = [site.path.parent / "host_vars" / f"{host}{suffix}" for host in hosts for suffix in ("", ".yml", ".yaml")]
    return [*lines, *(str(place) for place in own if place.exists())]


def _names(text: str, host: str) -> bool:
    """Whether a line of an INI or YAML inventory begins with the host's name."""
    return re.match(rf"""\s*["']?{re.escape(host)}["']?(?:\s|:|$)""", text) is not None
