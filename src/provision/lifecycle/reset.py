"""`reset`: what it checks and says before a machine is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from provision import backups
from provision.errors import UsageError

if TYPE_CHECKING:
    from provision.inventory import Site
    from provision.workflows import Request


def check(site: Site, request: Request) -> None:
    """Refuse when no host would be left to reset, and a recipient of the last backup that is none."""
    if all(host.name in request.without for host in site.hosts):
        raise UsageError("no host is left to reset", hint="take fewer hosts into --without")
    if request.inputs.get("run_backup", True):
        backups.recipient(str(site.setting("backup_recipient") or ""), make=False)


def blast(site: Site, request: Request) -> Sequence[str]:
    """What is lost, and what is kept."""
    name = site.setting("cluster_name")
    hosts = ", ".join(host.name for host in site.hosts if host.name not in request.without)
    kept = f"a last backup is kept in {request.inputs.get('run_backup_to') or backups.home() / str(name)}"
    return (
        f"removes the cluster {name} and all that was installed for it from {hosts}; its pods and its data are lost",
        kept if request.inputs.get("run_backup", True) else "no backup is made before (--no-backup)",
        "operating system packages stay installed, their services stopped",
    )
