"""Working without dead hosts: where that is safe, and how Ansible is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from provision.errors import PreflightRefused

if TYPE_CHECKING:
    from provision.inventory import Host, Site
    from provision.workflows import Request

_WITHOUT_CLUSTER = ("reset", "restore")
"""Workflows that need no cluster that works; they say for themselves what they need."""


def limit(without: Sequence[str]) -> str | None:
    """Ansible's `--limit` that passes these hosts over; None when there are none."""
    return ":".join(["all", *(f"!{name}" for name in without)]) if without else None


def check(site: Site, request: Request) -> None:
    """Refuse (PreflightRefused) to pass over hosts without which nothing of the cluster can be changed safely."""
    if not request.without or request.workflow.name in _WITHOUT_CLUSTER:
        return
    _require_some(site.control_planes, request, "control plane", "at least one has to answer")
    members = site.etcd_members or site.control_planes
    left = [host for host in members if host.name not in request.without]
    if members and len(left) <= len(members) // 2:
        raise PreflightRefused(
            f"etcd would have {len(left)} of {len(members)} members: without a majority the cluster cannot change",
            hint="bring members back, or restore the cluster from a backup: provision restore",
        )


def _require_some(hosts: Iterable[Host], request: Request, what: str, why: str) -> None:
    if all(host.name in request.without for host in hosts):
        raise PreflightRefused(f"no {what} would be left: {why}", hint="take fewer hosts into --without")
