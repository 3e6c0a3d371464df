"""`restore`: what it checks and says before a machine is touched. The backup is read whole, on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provision import backups
from provision.errors import PreflightRefused, UsageError

if TYPE_CHECKING:
    from provision.backups import Backup
    from provision.inventory import Site
    from provision.workflows import Request

_SAME = ("cluster_domain", "cluster_pod_cidr", "cluster_service_cidr", "cluster_network_provider")
"""Settings that objects in etcd are made of: the cluster would not work with others."""


def check(site: Site, request: Request) -> None:
    """Refuse a backup that is damaged, of another cluster or version, or that the key does not open."""
    found = _backup(request)
    found.verify()
    _require_same_cluster(site, found)
    key = Path(str(request.inputs["run_backup_key"]))
    files = found.cluster_files(key)
    _require_same_settings(site, found, json.loads(files["settings.json"]))
    with Path(os.devnull).open("wb") as nowhere:
        found.snapshot(key, nowhere)
    _require_members(site, request)


def blast(site: Site, request: Request) -> Sequence[str]:
    """What is lost, what restarts, and that the API is interrupted."""
    found = _backup(request)
    planes = ", ".join(host.name for host in site.control_planes)
    size = f"{found.manifest['keys']} keys"
    return (
        f"restores {found.cluster} as it was at {found.created} ({size}); what changed since then is lost",
        f"control planes and etcd are taken down and made anew on {planes}: their pods end, the API is interrupted",
        "workers that live go on with their pods; nodes that the site does not name are taken out of the cluster",
    )


def _backup(request: Request) -> Backup:
    file = request.inputs.get("run_backup_file")
    if not file:
        raise UsageError("no backup is named", hint="provision restore -i SITE BACKUP")
    return backups.read(Path(str(file)))


def _require_same_cluster(site: Site, found: Backup) -> None:
    name, version = str(site.setting("cluster_name")), str(site.setting("cluster_version"))
    if found.cluster != name:
        raise PreflightRefused(
            f"{found.path.name} is a backup of the cluster {found.cluster}, this site's is {name}",
            hint="take a backup of this cluster, or the site that the backup is of",
        )
    if found.kubernetes != version:
        raise PreflightRefused(
            f"the backup is of Kubernetes {found.kubernetes}, the site says {version}",
            hint=f"restore with cluster_version: {found.kubernetes}, then upgrade",
        )


def _require_same_settings(site: Site, found: Backup, held: dict[str, object]) -> None:
    for name in _SAME:
        if name in held and str(held[name]) != str(site.setting(name)):
            raise PreflightRefused(
                f"{name} is {held[name]} in {found.path.name}, the site says {site.setting(name)}",
                hint=f"set {name}: {held[name]}",
            )


def _require_members(site: Site, request: Request) -> None:
    """Every control plane and member of etcd is made anew, so every one has to be there."""
    needed = {host.name for host in (*site.control_planes, *site.etcd_members)}
    if absent := sorted(needed & set(request.without)):
        raise PreflightRefused(
            f"{', '.join(absent)} cannot be left out: every control plane is made anew",
            hint="put a machine in its place, or take it out of the site",
        )
