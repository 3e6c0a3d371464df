"""What the sandbox must know of a site: the hosts' addresses, the VIP and the version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provision import inventory


@dataclass(frozen=True)
class SiteFacts:
    """What a sandbox is made from."""

    path: Path
    """The inventory file, absolute, also when its directory was given."""
    addresses: dict[str, str]
    """Each host's own address, by inventory name."""
    vip: str
    version: str


def read_site(site: Path) -> SiteFacts:
    """Read the inventory. Raises InvalidInput when it cannot be read."""
    found = inventory.load(site)
    if not found.hosts:
        return SiteFacts(found.path, {}, "", "")
    addresses = {host.name: host.address or host.name for host in found.hosts}
    version = str(found.setting("cluster_version")).removeprefix("v")
    return SiteFacts(found.path, addresses, str(found.setting("cluster_vip") or ""), version)
