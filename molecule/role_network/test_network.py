"""Routes between the pod ranges of two nodes, learned and not written down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.site import eventually
from tests.machines import Machines


@pytest.fixture
def ranges(machines: Machines) -> dict[str, str]:
    """The pod range of each node."""
    nodes = machines.kubectl("cp1", "get nodes")["items"]
    return {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in nodes}


@pytest.mark.parametrize("unit", ["bird", "provision-masquerade"])
def test_it_runs_now_and_after_a_reboot(machines: Machines, unit: str) -> None:
    for name, host in machines.group("tested").items():
        assert host.service(unit).is_running, name
        assert host.service(unit).is_enabled, name


def test_each_node_knows_the_way_to_the_pods_of_the_other(machines: Machines, ranges: dict[str, str]) -> None:
    def learned() -> None:
        for name, other in (("cp1", "w1"), ("w1", "cp1")):
            route = machines.run(name, f"ip route show {ranges[other]}")
            assert f"via {machines.address(other)} " in route
            assert "proto bird" in route

    eventually(learned, seconds=30)


def test_nodes_become_ready(machines: Machines) -> None:
    def ready() -> None:
        for node in machines.kubectl("cp1", "get nodes")["items"]:
            states = {one["type"]: one["status"] for one in node["status"]["conditions"]}
            assert states["Ready"] == "True", node["metadata"]["name"]

    eventually(ready, seconds=60)


def test_pods_get_addresses_of_their_node(machines: Machines, ranges: dict[str, str]) -> None:
    for name, pods in ranges.items():
        conflist = machines[name].file("/etc/cni/net.d/10-provision.conflist")
        assert conflist.contains(pods), name


def test_addresses_are_translated_only_for_what_leaves_the_pods(machines: Machines) -> None:
    for name in machines.group("tested"):
        rules = machines.run(name, "nft list ruleset")
        assert "masquerade" in rules, name
        assert str(machines.site.setting("cluster_pod_cidr")) in rules, name


def test_routes_come_back_after_a_restart(machines: Machines, ranges: dict[str, str]) -> None:
    machines.run("w1", "systemctl restart bird")

    def learned() -> None:
        assert "proto bird" in machines.run("w1", f"ip route show {ranges['cp1']}")

    eventually(learned, seconds=30)


def test_its_settings_are_not_for_everyone(machines: Machines) -> None:
    for name, host in machines.group("tested").items():
        file = host.file("/etc/bird/bird.conf")
        assert (file.user, file.group, file.mode) == ("root", "bird", 0o640), name


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "network_bgp_asn" in refused(network_bgp_asn="mine")
    assert "network_encapsulation" in refused(network_encapsulation="envelope")
