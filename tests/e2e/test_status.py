"""`provision status` on a healthy cluster; what it says of a wounded one is in test_failover."""

from __future__ import annotations

import pytest

from tests.e2e.site import Call, Site


@pytest.fixture(scope="module")
def status(cluster: Site) -> Call:
    return cluster.provision("status")


def test_a_healthy_cluster_ends_with_zero(status: Call) -> None:
    assert status.code == 0, status.text
    assert status.document["healthy"] is True
    assert status.document["problems"] == []


def test_it_names_every_node_with_its_part(status: Call, cluster: Site) -> None:
    nodes = {node["name"]: node for node in status.document["nodes"]}
    assert set(nodes) == set(cluster.names)
    assert all(node["ready"] and node["version"] == f"v{cluster.version}" for node in nodes.values())
    assert {name for name, node in nodes.items() if "control-plane" in node["roles"]} == set(cluster.control_planes)


def test_it_knows_who_holds_the_vip(status: Call, cluster: Site) -> None:
    vip, holder = (status.document["vip"][key] for key in ("address", "holder"))
    holders = [name for name in cluster.control_planes if f" {vip}/" in cluster.run(name, "ip -oneline address")]
    assert holders == [holder]


def test_it_knows_etcd(status: Call, cluster: Site) -> None:
    etcd = status.document["etcd"]
    assert {member["name"] for member in etcd["members"]} == set(cluster.control_planes)
    assert all(member["healthy"] for member in etcd["members"])
    assert etcd["leader"] in cluster.control_planes
    assert etcd["alarms"] == []
    assert etcd["db_size"] > 0


def test_it_counts_the_days_of_certificates(status: Call, cluster: Site) -> None:
    found = status.document["certificates"]
    assert {entry["host"] for entry in found} >= set(cluster.control_planes)
    assert all(entry["days_left"] > 30 for entry in found)


def test_what_somebody_changed_by_hand_is_named_and_put_back(cluster: Site) -> None:
    first, second = cluster.control_planes[:2]
    cluster.run(first, "echo '# by hand' >> /etc/crictl.yaml")
    cluster.run(second, "systemctl stop provision-csr-approver.timer")

    ill = cluster.provision("status")
    mended = cluster.provision("cluster", "--yes")

    assert ill.code == 7, ill.text
    assert {problem["message"] for problem in ill.document["problems"]} == {
        f"/etc/crictl.yaml was changed by hand on {first}",
        f"provision-csr-approver.timer on {second} is inactive",
    }
    assert mended.code == 0, mended.text
    assert mended.changed_hosts == {first, second}
    assert cluster.provision("status").code == 0
