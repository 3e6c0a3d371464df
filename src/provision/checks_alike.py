"""What must be the same on several machines of a site, checked offline."""

from __future__ import annotations

from collections.abc import Iterable

from provision import specs
from provision.checks import Problems, is_default, members
from provision.errors import InvalidInput
from provision.inventory import Host, Site

_PUBLISHING_ROLES = ("control_plane", "dns", "network")
_OF_ONE_HOST = (
    *("control_plane_workloads_allowed", "control_plane_start_timeout"),
    *("network_mtu", "network_bgp_asn", "network_bgp_password", "network_bgp_peer_ranges"),
)
"""What these roles read for a host alone, and keep in no record of the cluster."""


def one_cluster(site: Site) -> Problems:
    """A setting of the whole cluster has the same value on all machines.

    What the control planes publish for all is written by the one that leads, and another may lead the next time.
    """
    for option in specs.specs().values():
        if option.role == "cluster":
            yield from _alike(members(site), option.name, "set it for all hosts: under [all:vars] or in group_vars/all")
        elif option.role in _PUBLISHING_ROLES and option.name not in _OF_ONE_HOST:
            yield from _alike(
                site.control_planes, option.name, "set it for all of them: in group_vars/kube_control_plane"
            )


def _alike(hosts: Iterable[Host], setting: str, hint: str) -> Problems:
    values: dict[str, Host] = {}
    for host in hosts:
        values.setdefault(str(host.vars.get(setting)), host)
    if len(values) > 1:
        (one, first), (other, second) = list(values.items())[:2]
        set_on = second if second.location_of(setting) and not is_default(second, setting) else first
        yield InvalidInput(
            f"{setting} is {one or 'empty'} on {first.name} and {other or 'empty'} on {second.name}",
            hint=hint,
            location=set_on.location_of(setting),
        )


ALL = (one_cluster,)
