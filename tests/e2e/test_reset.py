"""After a reset nothing of the cluster is left on its machines, and they can be provisioned again."""

from __future__ import annotations

import re

import pytest

from tests.e2e.conftest import Story
from tests.e2e.site import Call, Site
from tests.e2e.snapshot import difference, snapshot

# What docs/how-to/reset.md says stays: the distribution's packages, and what they write.
PACKAGES = (
    r" (/var/lib/(dpkg|apt|ucf|nfs|haproxy|chrony)|/etc/(passwd|group|g?shadow)-?|/etc/(haproxy|keepalived|bird))"
)


@pytest.fixture(scope="module")
def reset(cluster: Site) -> Call:
    """The reset of the living cluster."""
    return cluster.provision("reset", "--yes", "sandbox")


def test_it_says_what_it_did(reset: Call, cluster: Site) -> None:
    assert reset.code == 0, reset.text
    assert reset.changed_hosts == set(cluster.names)


def test_nothing_of_the_cluster_is_left(reset: Call, story: Story) -> None:
    left = [line for line in difference(story.bare, snapshot(story.site)) if not re.search(PACKAGES, line)]

    assert not left, "\n".join(left)


@pytest.mark.parametrize("host", ["cp1", "w1"])
def test_the_kernel_holds_nothing_of_it(reset: Call, cluster: Site, host: str) -> None:
    assert cluster.run(host, "nft list tables").strip() == ""
    assert cluster.run(host, "ip -oneline link | grep -vE ': (lo|eth0)[@:]' || true").strip() == ""
    assert cluster.run(host, "grep -E ' /var/lib/kubelet/|/run/containerd' /proc/mounts || true").strip() == ""


def test_a_second_reset_has_nothing_to_do(reset: Call, cluster: Site) -> None:
    again = cluster.provision("reset", "--no-backup", "--yes", "sandbox")

    assert (again.code, again.changes) == (0, [])
