"""Which upgrades are possible, and in which order the hosts are taken: pure rules over what the living cluster says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from provision.preflight_rules import Problem

KUBELET_SKEW = 3
"""How many minor versions a kubelet may be older than the API servers."""


@dataclass(frozen=True, order=True)
class Version:
    """A version of Kubernetes; ordered by age."""

    major: int
    minor: int
    patch: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Read `1.36.4` or `v1.36.4`. Raises ValueError for anything else."""
        major, minor, patch = text.removeprefix("v").split("-")[0].split(".")
        return cls(int(major), int(minor), int(patch))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def series(self) -> str:
        """Major and minor, as people call a release: `1.36`."""
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True)
class Node:
    """A Node object: what its kubelet reports. `ours` tells that an upgrade cordoned it and did not come back."""

    host: str
    name: str
    version: Version
    runtime: str
    ready: bool = True
    reason: str = ""
    ours: bool = False


@dataclass(frozen=True)
class Cluster:
    """The living cluster: what runs, and which hosts of the site are there."""

    target: Version
    runtime: str
    """The version of containerd that belongs to the target."""
    nodes: tuple[Node, ...] = ()
    api_servers: Mapping[str, Version] = field(default_factory=dict)
    """Node name -> the version of its API server."""
    control_planes: tuple[str, ...] = ()
    """Inventory names of those that answer, the leader last, and after it the one that holds the VIP."""
    etcd_reasons: Mapping[str, str] = field(default_factory=dict)
    """etcd member -> why it is not healthy."""
    known: tuple[str, ...] = ()
    """The catalog's versions, for hints."""


def downgrade(cluster: Cluster) -> Iterator[Problem]:
    """Nothing goes back: a newer API server may have written what an older one cannot read."""
    newest = max([*cluster.api_servers.values(), *(node.version for node in cluster.nodes)], default=cluster.target)
    if newest > cluster.target:
        yield Problem(
            "downgrade",
            f"the cluster runs Kubernetes {newest}, which is newer than {cluster.target}",
            "a cluster is never downgraded; to go back, restore a backup from before the upgrade: provision restore",
        )


def skipped_minor(cluster: Cluster) -> Iterator[Problem]:
    """API servers of two neighbouring minor versions get along, others do not."""
    oldest = min(cluster.api_servers.values(), default=cluster.target)
    if cluster.target.major == oldest.major and cluster.target.minor - oldest.minor <= 1:
        return
    between = [each for each in map(Version.of, cluster.known) if each.series == f"{oldest.major}.{oldest.minor + 1}"]
    step = f"provision upgrade --to {max(between)}" if between else f"the catalog has no 1.{oldest.minor + 1}: add it"
    yield Problem(
        "skew",
        f"from Kubernetes {oldest} to {cluster.target} a minor version would be left out",
        f"go by way of {oldest.major}.{oldest.minor + 1}: {step}",
    )


def old_kubelets(cluster: Cluster) -> Iterator[Problem]:
    """A kubelet that is too old for the new API servers would lose its pods as soon as they run."""
    for node in cluster.nodes:
        if cluster.target.minor - node.version.minor > KUBELET_SKEW:
            yield Problem(
                "skew",
                f"the kubelet of {node.name} is {node.version}, more than {KUBELET_SKEW} minor versions older than "
                f"{cluster.target}",
                "bring it to the version of the control plane first: provision upgrade --to "
                f"{max(cluster.api_servers.values(), default=cluster.target)}",
            )


def unhealthy(cluster: Cluster) -> Iterator[Problem]:
    """An upgrade takes one member after the other away: all the others must be there."""
    for node in cluster.nodes:
        if not node.ready and not node.ours:
            hint = f"repair it, or pass over it while it is dead: --without {node.host}"
            yield Problem("health", f"{node.name} is not ready: {node.reason}", hint)
    for member, reason in cluster.etcd_reasons.items():
        yield Problem("health", f"the etcd member {member} is not healthy: {reason}", "provision status says more")


REFUSALS = (downgrade, skipped_minor, old_kubelets, unhealthy)


def assess(cluster: Cluster) -> list[Problem]:
    """Every reason against the upgrade; empty when it may begin, or go on."""
    return [problem for rule in REFUSALS for problem in rule(cluster)]


def due(cluster: Cluster) -> list[str]:
    """The hosts whose kubelet or containerd changes, or that an upgrade left cordoned: control planes first."""

    def is_due(node: Node) -> bool:
        return node.version != cluster.target or node.runtime != cluster.runtime or node.ours

    waiting = [node.host for node in cluster.nodes if is_due(node)]
    planes = [host for host in cluster.control_planes if host in waiting]
    return planes + [host for host in waiting if host not in cluster.control_planes]


def in_order(control_planes: Iterable[str], leader: str, vip_holder: str) -> list[str]:
    """Control planes in the order in which they are taken: the leader late, and last who holds the VIP."""
    return sorted(control_planes, key=lambda host: (host == vip_holder, host == leader))


def read(status: Mapping[str, Any], hosts: Mapping[str, str], without: Sequence[str]) -> dict[str, Any]:
    """The parts of a Cluster that the module `cluster_status` knows; `hosts` is node name -> inventory name."""
    nodes = [row for row in status["nodes"] if hosts.get(row["name"], row["name"]) not in without]
    return {
        "nodes": tuple(
            Node(
                host=hosts[row["name"]],
                name=row["name"],
                version=Version.of(row["version"]),
                runtime=row["runtime"].rpartition("//")[2].removeprefix("v"),
                ready=row["ready"],
                reason=row["reason"],
                ours=row["cordoned_by_us"],
            )
            for row in nodes
            if row["name"] in hosts
        ),
        "api_servers": {
            row["node"]: Version.of(row["version"])
            for row in status["components"]
            if row["name"] == "kube-apiserver" and hosts.get(row["node"], row["node"]) not in without
        },
        "etcd_reasons": {
            member["name"]: member["reason"]
            for member in status["etcd"]["members"]
            if not member["healthy"] and hosts.get(member["name"], member["name"]) not in without
        },
    }
