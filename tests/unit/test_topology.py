"""Who leads, whether there is a cluster, and which balancer a host runs."""

from __future__ import annotations

from typing import Any

import pytest

from provision import topology

PLANES = ["cp1", "cp2", "cp3"]


def plane(**kubernetes: Any) -> dict[str, Any]:
    return {"kubernetes": {"admin_conf": False, "api_ready": None, "manifests": [], **kubernetes}, "etcd": {}}


MEMBER = plane(admin_conf=True, manifests=["kube-apiserver"], api_ready=False)
HEALTHY = plane(admin_conf=True, manifests=["kube-apiserver"], api_ready=True)
BARE = plane()


@pytest.mark.parametrize(
    ("probes", "leader", "exists"),
    [
        ({"cp1": BARE, "cp2": BARE, "cp3": BARE}, "cp1", False),
        ({"cp1": BARE, "cp2": MEMBER, "cp3": HEALTHY}, "cp3", True),
        ({"cp1": BARE, "cp2": MEMBER}, "cp2", True),
        ({"cp2": HEALTHY, "cp3": HEALTHY}, "cp2", True),
        ({"cp2": BARE}, "cp2", False),
        ({}, "cp1", False),
    ],
)
def test_the_leader_is_the_healthiest_member_that_answered(probes: dict[str, Any], leader: str, exists: bool) -> None:
    assert topology.control_plane_leader(PLANES, probes) == leader
    assert topology.cluster_exists(PLANES, probes) is exists


def test_the_etcd_leader_serves_or_at_least_holds_the_authority() -> None:
    probes = {
        "cp1": {"etcd": {"healthy": False}},
        "cp2": {"etcd": {"ca_fingerprint": "ab"}},
        "cp3": {"etcd": {"data_dir_present": True}},
    }
    assert topology.etcd_leader(PLANES, probes) == "cp2"
    assert topology.etcd_leader(PLANES, {**probes, "cp3": {"etcd": {"healthy": True}}}) == "cp3"


@pytest.mark.parametrize(
    ("vip", "external", "mode"), [("10.0.0.10", "", "vip"), ("", "lb.example", "external"), ("", "", "local")]
)
def test_the_way_to_the_api_follows_from_what_is_set(vip: str, external: str, mode: str) -> None:
    assert topology.api_access(vip, external) == mode


def test_a_balancer_runs_where_its_mode_needs_it() -> None:
    def runs(mode: str, name: str) -> str:
        return topology.balancer(mode, name, balancers=PLANES, nodes=[*PLANES, "w1"])

    assert [runs("vip", "cp1"), runs("vip", "w1"), runs("local", "w1"), runs("external", "cp1")] == [
        "vip",
        "none",
        "local",
        "none",
    ]


def test_an_address_falls_back_to_how_the_host_is_reached() -> None:
    host = {"inventory_hostname": "n1", "ansible_host": "10.0.0.2", "ip": "10.0.0.1"}
    assert topology.address(host) == "10.0.0.1"
    assert topology.address({**host, "ip": ""}) == "10.0.0.2"
    assert topology.address({"inventory_hostname": "n1"}) == "n1"
