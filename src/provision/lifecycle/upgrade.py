"""`upgrade`: what it says before a machine is touched, and what the operator writes down afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from provision import catalog
from provision.errors import UsageError
from provision.paths import groups_file

if TYPE_CHECKING:
    from provision.inventory import Site
    from provision.workflows import Request


def check(site: Site, request: Request) -> None:
    """Refuse a run without a version (UsageError), and one that the catalog does not know (InvalidInput)."""
    if not (version := request.inputs.get("cluster_version")):
        raise UsageError("name the version to upgrade to", hint=f"provision upgrade --to X.Y.Z -i {site.path.name}")
    catalog.load().release(str(version))


def blast(site: Site, request: Request) -> Sequence[str]:
    """Which nodes, which restarts, and whether the API is interrupted."""
    planes = [host.name for host in site.control_planes if host.name not in request.without]
    workers = [host for host in site.nodes if host.name not in (*planes, *request.without)]
    batch = request.inputs.get("run_batch", 1)
    lines = [
        f"brings the cluster to Kubernetes {request.inputs['cluster_version']} and to what belongs to it",
        "makes a backup first, and fetches everything ahead",
        f"control planes one at a time ({', '.join(planes)}): their static pods, then, drained, their kubelet",
    ]
    if workers:
        lines.append(f"then {len(workers)} workers, {batch} at a time: drained, changed, waited for, and taken back")
    lines.append("etcd, containerd, HAProxy and keepalived restart where their version changes, one host at a time")
    if len(planes) > 1:
        lines.append("the API is not interrupted: another control plane answers")
    else:
        lines.append("the API is away for about half a minute: there is one control plane")
    return lines


def line_to_set(site: Site, version: str) -> str:
    """What the operator writes into the site, so that it says what runs; empty when it says so already."""
    host = (site.control_planes or site.hosts)[0]
    own = [item for item in host.chain if item.location.path != str(groups_file())]
    item = next((item for item in reversed(own) if item.name in ("cluster_version", "kube_version")), None)
    if item is not None and str(item.value).removeprefix("v") == version:
        return ""
    name = item.name if item else "cluster_version"
    where = f"in {item.location}" if item else f"in {site.path} under [all:vars]"
    return f"{where}, write: {name}={version}"
