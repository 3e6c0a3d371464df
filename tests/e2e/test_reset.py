"""After a reset nothing of the cluster is left on its machines, and they can be provisioned again."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import Story
from tests.e2e.site import Call, Site
from tests.e2e.snapshot import difference, snapshot

# What docs/how-to/reset.md says stays: the distribution's packages. This is what their installation writes beside the
# files that they own, and the service that they start.
PACKAGES = (
    r" (/var/lib/(dpkg|apt|ucf|nfs|haproxy|chrony|snmp)\b|/etc/(passwd|group|g?shadow)-?$|/etc/ld\.so\.cache$"
    r"|/etc/(rc[0-6S]\.d/|alternatives/|default/nfs-common|nfs\.conf|idmapd\.conf$)"
    r"|/etc/systemd/system/\S+\.wants\b.*|/etc/(haproxy|keepalived|bird|iproute2|network)$|rpcbind\.service$)"
)
OWNED = "cat /var/lib/dpkg/info/*.list /var/lib/dpkg/info/*.conffiles"
"""Prints the paths that installed packages own."""
# Empty directories that may have been there before, and a file that the engine makes with an unusual mode.
HARMLESS = (
    r" (d \d+ root:root (/root/\.kube|/etc/bash_completion\.d|/etc/iproute2(/rt_addrprotos\.d)?) "
    r"|f \d+ root:root /etc/hosts)$"
)


@pytest.fixture(scope="module")
def reset(cluster: Site) -> Call:
    """The reset of the living cluster."""
    return cluster.provision("reset", "--yes", "sandbox")


def test_it_says_what_it_did(reset: Call, cluster: Site) -> None:
    assert reset.code == 0, reset.text
    assert reset.changed_hosts == set(cluster.names)


def test_nothing_of_the_cluster_is_left(reset: Call, story: Story) -> None:
    owned = {path for name in story.site.names for path in story.site.run(name, OWNED).splitlines()}

    left = [
        line
        for line in difference(story.bare, snapshot(story.site))
        if not re.search(f"{PACKAGES}|{HARMLESS}", line) and owned.isdisjoint(line.split())
    ]

    assert not left, "\n".join(left)


@pytest.mark.parametrize("host", ["cp1", "w1"])
def test_no_file_is_ours(reset: Call, cluster: Site, host: str) -> None:
    """Those that packages own included."""
    places = "/etc /usr/local /opt /var/lib /root"
    assert cluster.run(host, f"grep -rlI 'Managed by provision' {places} || true").strip() == ""


@pytest.mark.parametrize("host", ["cp1", "w1"])
def test_the_kernel_holds_nothing_of_it(reset: Call, cluster: Site, host: str) -> None:
    assert cluster.run(host, "nft list tables").strip() == ""
    assert cluster.run(host, "ip -oneline link | grep -vE ': (lo|eth0)[@:]' || true").strip() == ""
    assert cluster.run(host, "grep -E ' /var/lib/kubelet/|/run/containerd' /proc/mounts || true").strip() == ""


def test_a_second_reset_has_nothing_to_do(reset: Call, cluster: Site) -> None:
    again = cluster.provision("reset", "--no-backup", "--yes", "sandbox")

    assert (again.code, again.changes) == (0, [])
