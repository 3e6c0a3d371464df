"""The clusters that the end-to-end tests share: each is made once, when the first test needs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision import paths
from provision.catalog import load
from provision.drills.probe import Prober
from tests.e2e.site import ROOT, Call, Site, new_site, provision
from tests.e2e.snapshot import Snapshot, snapshot

PREVIOUS = {"patch": "1.36.3", "minor": "1.35.4"}
"""The versions that upgrades begin with."""
QUICK_START = (ROOT / "inventory/sandbox/site.ini").read_text()
KEEP = "PROVISION_E2E_KEEP"
"""Set it to look at the nodes after the tests."""
FULL = "PROVISION_TEST_FULL"
"""Set it to run what takes long as well: the tests marked `full`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What breaks the cluster comes after what looks at it; what has a cluster of its own comes before it is made."""
    order = [
        "validate",
        "preflight",
        "rehearse",
        "kubespray",
        "upgrade[minor]",
        "upgrade_components",
        "cluster",
        "security",
        "status",
        "upgrade[patch]",
        "certificates",
        "certificates_renew",
        "settings",
        "node_add",
        "gpu_node",
        "node_remove",
        "backup",
        "drill",
        "failover",
        "restore",
        "reset",
    ]
    for item in items:
        if item.path.parent.name == "e2e":
            item.add_marker(pytest.mark.e2e)
        if item.get_closest_marker("full") and not os.environ.get(FULL):
            item.add_marker(pytest.mark.skip(reason=f"takes long; set {FULL}=1 to run it"))

    def place(item: pytest.Item) -> int:
        stem = item.path.stem.removeprefix("test_")
        parameter = item.name.partition("[")[2]
        return order.index(f"{stem}[{parameter}" if stem == "upgrade" else stem)

    items.sort(key=lambda item: place(item) if item.path.parent.name == "e2e" else -1)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> Iterator[None]:
    """What the tests start hears Ctrl-C as in a terminal: a shell's background job, which these may be, ignores it."""
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, found)


def bundle_of(version: str) -> Path:
    """The bundle of a version in the user's cache, made when it is not there."""
    place = paths.cache_home() / "bundle" / version
    if not (place / "manifest.json").exists():
        made = provision("bundle", "create", "--source", "build", "--version", version)
        assert made.code == 0, made.text
    return place


@pytest.fixture(scope="session")
def bundle() -> None:
    """The bundle in the user's cache, built when there is none or it is damaged."""
    if provision("bundle", "verify").code != 0:
        made = provision("bundle", "create", "--source", "build")
        assert made.code == 0, made.text
    bundle_of(load().default_version)


def running(site: Site, *arguments: str) -> Iterator[Site]:
    try:
        site.up(*arguments)
        yield site
    finally:
        if not os.environ.get(KEEP):
            site.down()


@dataclass(frozen=True)
class Story:
    """A cluster, and what was seen while it was made from bare machines."""

    site: Site
    bare: Snapshot
    plan: Call
    planned: Snapshot
    run: Call


@pytest.fixture(scope="session")
def nodes(request: pytest.FixtureRequest, bundle: None) -> Iterator[Site]:
    """The bare nodes of the quick start's site: of the patch before, when its upgrade is among the tests."""
    settings = {}
    if any(item.name.endswith("[patch]") for item in request.session.items):
        bundle_of(PREVIOUS["patch"])
        settings = {"cluster_version": PREVIOUS["patch"]}
    yield from running(new_site("quick-start", QUICK_START, settings))


@pytest.fixture(scope="session")
def story(nodes: Site) -> Story:
    """The quick start: plan on bare machines, then the first run."""
    bare = snapshot(nodes)
    plan = nodes.provision("cluster", "--plan", "--exit-code")
    planned = snapshot(nodes)
    run = nodes.provision("cluster", "--yes")
    assert run.code == 0, run.text
    return Story(nodes, bare, plan, planned, run)


@pytest.fixture(scope="session")
def cluster(story: Story) -> Site:
    """The living cluster of the quick start."""
    return story.site


@dataclass(frozen=True)
class Grown:
    """The cluster after a control plane, a worker and a GPU node were added, one command each."""

    site: Site
    interrupted: int
    """How the command for w2 ended that Ctrl-C broke off in the middle; another one went on from there."""
    plan: Call
    """What was said of cp4 right before it came in."""
    calls: Mapping[str, Call]
    """How `node add` of each host ended."""
    gap: float
    """The longest time without an answer of the API meanwhile, in seconds."""
    starts: tuple[str, str]
    """When the processes of the hosts that were there before started: before and after."""


@pytest.fixture(scope="session")
def grown(cluster: Site) -> Grown:
    """The cluster of the quick start, grown by cp4, w2 and gpu1. test_node_remove takes them out again."""
    members = cluster.names

    def starts() -> str:
        command = "ps -o lstart=,comm= -C kube-apiserver,etcd,kubelet,containerd,keepalived"
        return "\n".join(f"{name} {line}" for name in members for line in cluster.run(name, command).splitlines())

    cluster.write_host("kube_node", "w2", 22)
    cluster.write_host("gpu_node", "gpu1", 23)
    cluster.write_host("kube_control_plane", "cp4", 14)
    cluster.up()
    before = starts()
    plan = cluster.provision("node", "add", "cp4", "--plan")
    with Prober(f"{cluster.network}.10", 8443) as prober:
        # The other two are in the inventory, and no members yet.
        calls = {"cp4": cluster.provision("node", "add", "cp4", "--yes")}
        interrupted = cluster.interrupt("node", "add", "w2", "--yes", after="Admit")
        calls |= {
            "w2": cluster.provision("node", "add", "--resume", "--yes"),
            "gpu1": cluster.provision("node", "add", "gpu1", "--yes"),
        }
    return Grown(cluster, interrupted, plan, calls, prober.gap, (before, starts()))


@pytest.fixture(scope="module")
def bare(bundle: None) -> Iterator[Site]:
    """Two bare nodes that no cluster is ever made of."""
    inventory = """
[kube_control_plane]
cp1 ansible_host=10.77.0.11 ip=10.77.0.11
[kube_node]
w1 ansible_host=10.77.0.21 ip=10.77.0.21
[all:vars]
cluster_vip=10.77.0.10
cluster_network_provider=routed
"""
    yield from running(new_site("bare", inventory))
