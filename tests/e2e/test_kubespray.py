"""An inventory written for Kubespray, unchanged: no VIP, so every node has its own balancer to the control planes.

Its first run is broken off by Ctrl-C in the middle, and goes on with --resume.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import running
from tests.e2e.site import Call, Site, eventually, new_site

INVENTORY = """\
[all]
master1 ansible_host=10.77.0.11 ip=10.77.0.11
master2 ansible_host=10.77.0.12 ip=10.77.0.12
master3 ansible_host=10.77.0.13 ip=10.77.0.13
worker1 ansible_host=10.77.0.21 ip=10.77.0.21
[kube_control_plane]
master1
master2
master3
[etcd]
master1
master2
master3
[kube_node]
worker1
[k8s_cluster:children]
kube_control_plane
kube_node
[k8s_cluster:vars]
kube_version=v1.36.4
container_manager=containerd
"""


@pytest.fixture(scope="module")
def site(bundle: None) -> Iterator[Site]:
    yield from running(new_site("kubespray", INVENTORY))


@pytest.fixture(scope="module")
def interrupted(site: Site) -> int:
    """How a run ended that was broken off before the control planes were there, even if Ctrl-C is heeded late."""
    return site.interrupt("cluster", "--yes", after="Prepare the hosts")


@pytest.fixture(scope="module")
def run(site: Site, interrupted: int) -> Call:
    """The run that goes on from there."""
    assert interrupted == 130
    assert not site.host("master1").file("/etc/kubernetes/provision/kubeadm.yaml").exists
    return site.provision("cluster", "--resume", "--yes")


def test_it_becomes_a_cluster_as_it_is(run: Call, site: Site) -> None:
    assert run.code == 0, run.text
    status = site.provision("status")
    assert status.code == 0, status.text
    assert {node["name"] for node in status.document["nodes"]} == set(site.names)


def test_its_names_are_told_with_ours(run: Call) -> None:
    taken = {alias["name"]: alias["own"] for alias in run.document["aliases"]}
    assert set(taken) == {"kube_version", "container_manager"}
    assert taken["kube_version"] == "cluster_version"


def test_every_node_reaches_the_api_through_itself(run: Call, site: Site) -> None:
    for name in site.names:
        assert "127.0.0.1" in site.run(name, "getent ahostsv4 api.cluster.local"), name
        assert site.host(name).socket("tcp://127.0.0.1:8443").is_listening, name
        assert not site.host(name).service("keepalived").is_running, name


def test_a_dead_control_plane_is_not_missed(run: Call, site: Site) -> None:
    site.kill("master1")
    try:
        listed = "kubectl --kubeconfig /etc/kubernetes/kubelet.conf get node worker1 -o name"
        # On a busy machine even ssh may time out.
        eventually(lambda: site.run("worker1", listed), seconds=60)
        created = site.kubectl("create configmap e2e-without-master1", on="master2")
        assert "created" in created
    finally:
        site.up()


# The cluster of the quick start shows it in every run.
@pytest.mark.full
def test_the_second_run_changes_nothing(run: Call, site: Site) -> None:
    again = site.provision("cluster", "--yes")
    assert again.code == 0, again.text
    assert again.changes == []
