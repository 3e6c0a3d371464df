"""A changed setting shows just its effect in the plan, and touches only what it must."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Self

from provision.drills.probe import Prober
from tests.e2e.site import Site

SERVICES = ("containerd", "kubelet", "etcd", "haproxy", "keepalived")
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
MIRROR = "registry.example.org"


def starts(site: Site) -> Mapping[tuple[str, str], str]:
    """(host, service or container) -> when it was started."""
    found: dict[tuple[str, str], str] = {}
    services = f"systemctl show --property ActiveEnterTimestampMonotonic --value {' '.join(SERVICES)}"
    for name in site.names:
        shown, listed = site.run(name, f"{services}; echo ---; crictl ps --output json").split("---\n")
        found |= {(name, service): since for service, since in zip(SERVICES, shown.split(), strict=True)}
        running: Any = json.loads(listed)["containers"]
        # The pods of an earlier run's verification may still be going away.
        own = [each for each in running if each["labels"]["io.kubernetes.pod.namespace"] == "kube-system"]
        found |= {(name, each["metadata"]["name"]): each["id"] for each in own}
    return found


def manifests(site: Site) -> Mapping[tuple[str, str], str]:
    """(host, component) -> the digest of its manifest."""
    found = {}
    for name in site.control_planes:
        for line in site.run(name, "sha256sum /etc/kubernetes/manifests/*.yaml").splitlines():
            digest, path = line.split()
            found[name, PurePosixPath(path).stem] = digest
    return found


def restarted(before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]) -> set[tuple[str, str]]:
    return {key for key in before if after.get(key) != before[key]}


def test_a_registry_mirror_and_labels_restart_nothing(cluster: Site) -> None:
    cluster.set(
        {
            "containerd_registry_mirrors": {MIRROR: [f"http://{cluster.network}.1:5000"]},
            "node_labels": {"e2e": "yes"},
            "node_taints": [{"key": "e2e", "effect": "PreferNoSchedule"}],
        }
    )
    before = starts(cluster)

    plan = cluster.provision("cluster", "--plan")
    done = cluster.provision("cluster", "--yes")

    assert done.code == 0, done.text
    for shown in (plan, done):
        assert {change["role"] for change in shown.changes} == {"containerd", "node"}
        mirrors = [change for change in shown.changes if change["role"] == "containerd"]
        assert [change["host"] for change in mirrors] == list(cluster.names)
        assert all(f"{MIRROR}/hosts.toml" in str(change["summary"]) for change in mirrors)
    assert restarted(before, starts(cluster)) == set()


def test_labels_taints_and_mirrors_that_are_taken_out_of_the_site_leave_the_node(cluster: Site) -> None:
    """Those of the test before."""
    cluster.kubectl("label node w1 e2e-")
    drifted = cluster.provision("status").document["drift"]
    cluster.set({})
    done = cluster.provision("cluster", "--yes")

    assert {"host": "w1", "what": "lacks the label e2e=yes"} in drifted
    assert done.code == 0, done.text
    assert {change["role"] for change in done.changes} == {"containerd", "node"}
    left = cluster.kubectl("get nodes -o jsonpath={.items[*].metadata.labels}{.items[*].spec.taints}")
    assert "node-role.kubernetes.io/control-plane" in left
    assert "e2e" not in left
    assert not cluster.host("w1").file(f"/etc/containerd/certs.d/{MIRROR}/hosts.toml").exists


def test_what_a_running_cluster_cannot_take_is_refused_and_changes_nothing(cluster: Site) -> None:
    running = {"cluster_pod_cidr": "10.244.0.0/16", "cluster_api_port": 8443}
    other = {"cluster_pod_cidr": "10.200.0.0/16", "cluster_api_port": 9443}
    cluster.set(other)
    try:
        refused = cluster.provision("cluster", "--yes")
    finally:
        cluster.set({})

    assert refused.code == 4, refused.text
    assert refused.changes == []
    for name, value in running.items():
        assert f"{name} is {value} in the running cluster, not {other[name]}" in refused.failures
        assert f"set {name} back to {value}" in refused.failures


class _TogetherAway:
    """Watches all API servers: how many of them were away at the same time, at most."""

    def __init__(self, site: Site) -> None:
        self._probers = [Prober(site.address(name), 6443) for name in site.control_planes]
        self._stop = threading.Event()
        self.most = 0

    def __enter__(self) -> Self:
        for prober in self._probers:
            prober.__enter__()
        self._watch = threading.Thread(target=self._run, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watch.join()
        for prober in self._probers:
            prober.__exit__(None, None, None)

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            last = [prober.answers[-1].ok for prober in self._probers if prober.answers]
            self.most = max(self.most, last.count(False))


def test_a_flag_of_the_api_server_restarts_only_that_one_at_a_time(cluster: Site) -> None:
    """The flag stays: the way back would take as long, and show nothing more."""
    cluster.set({"control_plane_apiserver_extra_args": [{"name": "max-requests-inflight", "value": "401"}]})
    before, written = starts(cluster), manifests(cluster)

    plan = cluster.provision("cluster", "--plan")
    with _TogetherAway(cluster) as away:
        done = cluster.provision("cluster", "--yes")

    assert done.code == 0, done.text
    for shown in (plan, done):
        assert {change["role"] for change in shown.changes} == {"control_plane"}
        assert shown.changed_hosts == set(cluster.control_planes)
        assert any("kube-apiserver" in str(change["summary"]) for change in shown.changes)
    servers = {(name, "kube-apiserver") for name in cluster.control_planes}
    # These two work with their own machine's API server, and end when they lose their lease while it is away.
    others = {(name, component) for name in cluster.control_planes for component in COMPONENTS}
    assert servers <= restarted(before, starts(cluster)) <= others
    assert restarted(written, manifests(cluster)) == servers
    assert away.most == 1
    for name in cluster.control_planes:
        assert "--max-requests-inflight=401" in cluster.run(name, "cat /etc/kubernetes/manifests/kube-apiserver.yaml")
