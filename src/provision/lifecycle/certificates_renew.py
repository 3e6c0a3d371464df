"""`certificates renew`: what it says before a machine is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.inventory import Site
    from provision.workflows import Request


def check(site: Site, request: Request) -> None:
    """Nothing of the site forbids a renewal: it needs no quorum and no API server."""


def blast(site: Site, request: Request) -> Sequence[str]:
    """Which certificates, what restarts, and whether the API is interrupted."""
    count = len({host.name for host in (*site.nodes, *site.etcd_members)} - set(request.without))
    within = request.inputs.get("run_within")
    which = f"that end within {within} days" if within else "of the cluster, whenever they end"
    return (
        f"renews the certificates {which}, on {count} hosts, one at a time; authorities stay as they are",
        "the API is not interrupted: API servers and etcd read the new files without a restart",
        "restarts, one host at a time: the controller manager, the scheduler and the kubelet; pods go on",
    )
