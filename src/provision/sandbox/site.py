"""What the sandbox must know of a site: the hosts' addresses, the VIP and the version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provision import inventory
from provision.errors import Location


@dataclass(frozen=True)
class SiteHost:
    """A host as the site describes it."""

    name: str
    address: str
    location: Location
    """Where the address is written."""
    own_files_set: frozenset[str] = frozenset()
    """The variables that the site's host_vars files set for it: Ansible ranks those above any inventory file."""


@dataclass(frozen=True)
class SiteFacts:
    """What a sandbox is made from."""

    path: Path
    """The inventory file, absolute, also when its directory was given."""
    hosts: tuple[SiteHost, ...]
    vip: str = ""
    version: str = ""


def read_site(site: Path) -> SiteFacts:
    """Read the inventory. Raises InvalidInput when it cannot be read."""
    found = inventory.load(site)
    whole = Location(str(found.path))
    return SiteFacts(
        path=found.path,
        hosts=tuple(
            SiteHost(
                name=host.name,
                address=host.address or host.name,
                location=host.location_of("ip", "ansible_host") or whole,
                own_files_set=frozenset(
                    item.name for item in host.chain if item.in_file and item.scope.startswith("host ")
                ),
            )
            for host in found.hosts
        ),
        vip=str(found.setting("cluster_vip") or ""),
        version=str(found.setting("cluster_version") or "").removeprefix("v"),
    )
