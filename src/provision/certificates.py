"""How long certificates last: which are due, and what to do about them. Pure functions over what the hosts told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from provision.outcome import unwrapped, why_unreachable

Data = Mapping[str, Any]
Row = dict[str, Any]
Hosts = Mapping[str, Data | None]

DUE_DAYS = 30
"""Enough to renew a certificate without haste."""
AUTHORITY_DAYS = 365
"""Every certificate of a cluster hangs on its authorities: that is planned a year ahead."""


def report(hosts: Hosts, words: Mapping[str, str]) -> Row:
    """{reached, certificates, warnings, problems} of all hosts; `words` are what ssh said of those that are silent."""
    found = rows(hosts)
    silent = [unreachable(name, words.get(name, "")) for name, host in hosts.items() if host is None]
    return {
        "reached": any(host is not None for host in hosts.values()),
        "certificates": found,
        "warnings": warnings(found),
        "problems": [*silent, *problems(found)],
    }


def rows(hosts: Hosts) -> list[Row]:
    """[{host, name, days_left, authority}] of all hosts, the one that ends first at the top."""
    found = [{"host": name, **row} for name, host in hosts.items() if host for row in host["certificates"]]
    return sorted(found, key=lambda row: (row["days_left"], row["host"], row["name"]))


def unreachable(host: str, words: str) -> Row:
    """The problem of a host that does not answer."""
    told = unwrapped(words).splitlines()
    message = f"{host} does not answer over ssh" + (f": {told[-1]}" if told else "")
    return {"check": "reachable", "message": message, "hint": why_unreachable(words)[1] or "start it"}


def problems(found: Iterable[Data]) -> list[Row]:
    """Certificates that must be renewed now, one entry for each."""
    return [
        {"check": "certificate", "message": f"{row['name']} on {row['host']} {ends(row['days_left'])}",
         "hint": renewal(row)}
        for row in found
        if row["days_left"] < DUE_DAYS
    ]  # fmt: skip


def warnings(found: Iterable[Data]) -> list[Row]:
    """Authorities that end within a year: one entry for each file, however many hosts hold it."""
    near = [row for row in found if row.get("authority") and DUE_DAYS <= row["days_left"] < AUTHORITY_DAYS]
    return [
        {"check": "authority", "message": f"the authority {name} {ends(days)} (on {', '.join(hosts)})",
         "hint": renewal({"name": name, "authority": True})}
        for name, days, hosts in grouped(near)
    ]  # fmt: skip


def grouped(found: Iterable[Data]) -> Sequence[tuple[str, int, list[str]]]:
    """(name, days left, hosts): equal certificates of several hosts are one entry, the first to end at the top."""
    hosts: dict[tuple[int, str], list[str]] = defaultdict(list)
    for row in found:
        hosts[row["days_left"], row["name"]].append(row["host"])
    return [(name, days, names) for (days, name), names in sorted(hosts.items())]


def renewal(row: Data) -> str:
    """How a certificate gets a new life."""
    if row.get("authority"):
        return "every certificate hangs on it, it is not renewed in place: plan a new cluster, and move to it"
    return "provision certificates renew"


def ends(days: int) -> str:
    """When a certificate ends, in words."""
    return f"ends in {days} days" if days >= 0 else f"ended {-days} days ago"
