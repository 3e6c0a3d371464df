"""`backup`: what it says before a machine is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provision import backups
from provision.errors import UsageError

if TYPE_CHECKING:
    from provision.inventory import Site
    from provision.workflows import Request


def check(site: Site, request: Request) -> None:
    """Refuse a recipient that is none (InvalidInput), and a directory that is none (UsageError)."""
    target = Path(str(request.inputs.get("run_backup_to") or backups.home()))
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is no directory", hint="name one with --to")
    backups.recipient(str(site.setting("backup_recipient") or ""), make=False)


def blast(site: Site, request: Request) -> Sequence[str]:
    """What is read and written."""
    target = request.inputs.get("run_backup_to") or backups.home() / str(site.setting("cluster_name"))
    lines = [
        f"reads etcd and writes a backup on each control plane; one is brought to {target}",
        "nothing restarts, and the API is not interrupted",
    ]
    if not site.setting("backup_recipient") and not backups.default_key().exists():
        lines.append(f"makes your key, {backups.default_key()}: without it no backup opens, keep a copy elsewhere")
    return lines
