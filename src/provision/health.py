"""What of a cluster's status needs care."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provision.results import Problem

CERTIFICATE_DAYS = 30
"""A certificate with fewer days left is due for renewal."""


def problems(status: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Everything in the status that is not as it must be, the most urgent first."""
    if not status:
        return (Problem("status", "the machines reported no status", "is there a cluster? provision cluster makes it"),)
    return (
        *_reported(status),
        *_api(status),
        *_etcd(status.get("etcd") or {}),
        *_nodes(status),
        *_certificates(status),
    )


def _reported(status: Mapping[str, Any]) -> Iterator[Problem]:
    for entry in status.get("problems") or []:
        yield Problem(*(str(entry.get(key) or "") for key in ("check", "message", "hint")))


def _api(status: Mapping[str, Any]) -> Iterator[Problem]:
    api, vip = status.get("api") or {}, status.get("vip") or {}
    if api and not api.get("ready", True):
        yield Problem("api", f"the API does not answer at {api.get('endpoint', 'its endpoint')}")
    if vip.get("address") and not vip.get("holder"):
        yield Problem("vip", f"no machine holds the VIP {vip['address']}", "look at keepalived on the load balancers")


def _etcd(etcd: Mapping[str, Any]) -> Iterator[Problem]:
    if etcd and not etcd.get("leader"):
        yield Problem("etcd", "etcd has no leader")
    for member in etcd.get("members") or []:
        if not member.get("healthy", True):
            yield Problem("etcd", f"the etcd member {member.get('name')} is not healthy")
    for alarm in etcd.get("alarms") or []:
        yield Problem("etcd", f"etcd raises the alarm {alarm}")


def _nodes(status: Mapping[str, Any]) -> Iterator[Problem]:
    for node in status.get("nodes") or []:
        if not node.get("ready"):
            reason = f": {node['reason']}" if node.get("reason") else ""
            yield Problem("node", f"the node {node.get('name')} is not ready{reason}")


def _certificates(status: Mapping[str, Any]) -> Iterator[Problem]:
    for one in status.get("certificates") or []:
        days = float(one.get("days_left", CERTIFICATE_DAYS))
        if days < CERTIFICATE_DAYS:
            yield Problem("certificate", f"{one.get('name')} on {one.get('host')} ends in {days:.0f} days")
