"""What is on the nodes' disks and what runs there, to compare before and after."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.site import Site

Snapshot = Mapping[str, frozenset[str]]
"""Host -> one line for each file (type, mode, owner, path, digest) and each running service."""

PLACES = "/etc /usr/local /opt /var/lib /root"
# What a machine changes by itself while nobody does anything, and the directory, empty, that Ansible works in.
VOLATILE = (
    "/etc/machine-id",  # a node in a container gets another one when it is powered on again
    "/root/.ansible",
    "/var/lib/systemd/",
    "/etc/mtab",
    "/etc/.updated",
    "/var/lib/apt/periodic",
    "/var/lib/logrotate",
)
_COMMAND = rf"""
cd /
find {PLACES} ! -type f -printf '%y %m %u:%g %p %l\n'
find {PLACES} -type f -printf '%y %m %u:%g %p\n'
find {PLACES} -type f -print0 | xargs -0 -r sha256sum
systemctl list-units --plain --no-legend --state=running --type=service | awk '{{print "service " $1}}'
"""


def snapshot(site: Site) -> Snapshot:
    """All hosts as they are now."""
    with ThreadPoolExecutor() as pool:
        texts = pool.map(lambda name: site.run(name, _COMMAND), site.names)
    return {name: frozenset(_kept(text)) for name, text in zip(site.names, texts, strict=True)}


def _kept(text: str) -> list[str]:
    return [line for line in text.splitlines() if not any(place in line for place in VOLATILE)]


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    """What came (+) and what went (-), by host."""
    return [
        f"{host} {sign} {line}"
        for host in before
        for sign, lines in (("+", after[host] - before[host]), ("-", before[host] - after[host]))
        for line in sorted(lines)
    ]
