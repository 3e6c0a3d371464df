"""Which upgrades are refused, and in which order hosts are taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provision import upgrade_rules as rules
from provision.upgrade_rules import Cluster, Node, Version

KNOWN = ("1.36.4", "1.36.3", "1.35.4", "1.34.9")


def version(text: str) -> Version:
    return Version.of(text)


def node(name: str, kubelet: str = "1.36.3", **more: Any) -> Node:
    return Node(name, name, version(kubelet), more.pop("runtime", "2.3.4"), **more)


def cluster(target: str = "1.36.4", apis: str = "1.36.3", *nodes: Node, **more: Any) -> Cluster:
    members = nodes or (node("m1"), node("m2"), node("w1"))
    servers = {f"m{place}": version(text) for place, text in enumerate(apis.split(), 1)}
    return Cluster(
        version(target), "2.3.4", members, api_servers=servers, control_planes=("m1", "m2"), known=KNOWN, **more
    )


def checks(found: Cluster) -> list[str]:
    return [problem.check for problem in rules.assess(found)]


def told(found: Cluster) -> str:
    return "\n".join(f"{problem.message} ({problem.hint})" for problem in rules.assess(found))


def test_a_patch_and_the_next_minor_are_fine() -> None:
    assert checks(cluster("1.36.4", "1.36.3")) == []
    assert checks(cluster("1.36.4", "1.35.4", node("m1", "1.35.4"))) == []
    assert checks(cluster("1.36.3", "1.36.3")) == []


def test_a_downgrade_is_refused_and_names_the_way_back() -> None:
    found = cluster("1.36.3", "1.36.4", node("m1", "1.36.4"))
    assert checks(found) == ["downgrade"]
    assert "provision restore" in told(found)


def test_one_newer_api_server_is_enough_for_a_downgrade() -> None:
    assert checks(cluster("1.36.3", "1.36.3 1.36.4")) == ["downgrade"]
    assert checks(cluster("1.36.3", "1.36.3", node("w1", "1.36.4"))) == ["downgrade"]


def test_a_left_out_minor_is_refused_and_the_next_step_named() -> None:
    found = cluster("1.36.4", "1.34.9", node("m1", "1.34.9"))
    assert checks(found) == ["skew"]
    assert "provision upgrade --to 1.35.4" in told(found)
    assert "add it" in told(replace(found, known=("1.36.4",)))


def test_another_major_is_refused() -> None:
    assert "skew" in checks(cluster("2.0.0", "1.36.3"))


def test_an_interrupted_upgrade_goes_on() -> None:
    found = cluster("1.36.4", "1.36.4 1.35.4", node("m1", "1.36.4"), node("m2", "1.35.4"))
    assert checks(found) == []
    assert rules.due(found) == ["m2"]


@pytest.mark.parametrize(("kubelet", "refused"), [("1.33.1", False), ("1.32.9", True)])
def test_kubelets_may_be_three_minors_older(kubelet: str, refused: bool) -> None:
    found = cluster("1.36.4", "1.36.3", node("w1", kubelet))
    assert bool(checks(found)) is refused
    assert not refused or "provision upgrade --to 1.36.3" in told(found)


def test_sick_members_stop_it_and_a_node_that_it_left_behind_does_not() -> None:
    sick = node("w1", ready=False, reason="no kubelet")
    found = cluster("1.36.4", "1.36.3", sick)
    assert checks(found) == ["health"]
    assert "--without w1" in told(found)
    assert checks(cluster("1.36.4", "1.36.3", replace(sick, ours=True))) == []
    assert checks(cluster(etcd_reasons={"m2": "no leader"})) == ["health"]


def test_control_planes_come_first_and_what_is_done_is_passed_over() -> None:
    nodes = (node("w1"), node("w2", "1.36.4"), node("w3", "1.36.4", runtime="2.3.3"), node("m2"), node("m1"))
    found = replace(cluster("1.36.4", "1.36.3", *nodes), control_planes=("m2", "m1"))
    assert rules.due(found) == ["m2", "m1", "w1", "w3"]
    assert rules.due(cluster("1.36.3", "1.36.3", node("w1", ours=True))) == ["w1"]


def test_the_leader_is_late_and_the_holder_of_the_vip_last() -> None:
    assert rules.in_order(["m1", "m2", "m3"], "m1", "m2") == ["m3", "m1", "m2"]
    assert rules.in_order(["m1", "m2", "m3"], "m1", "") == ["m2", "m3", "m1"]
    assert rules.in_order(["m1", "m2"], "m1", "m1") == ["m2", "m1"]


def test_the_status_is_read_without_hosts_that_are_passed_over() -> None:
    row = {"ready": True, "reason": "", "runtime": "containerd://v2.3.4", "cordoned_by_us": False}
    status = {
        "nodes": [{"name": name, "version": "v1.36.3", **row} for name in ("m1", "w1", "stranger")],
        "components": [
            {"name": "kube-apiserver", "node": "m1", "version": "v1.36.3"},
            {"name": "kube-scheduler", "node": "m1", "version": "v1.35.0"},
        ],
        "etcd": {"members": [{"name": "m1", "healthy": False, "reason": "slow"}]},
    }
    found = rules.read(status, {"m1": "M1", "w1": "w1"}, ["w1"])
    assert [(each.host, str(each.version), each.runtime) for each in found["nodes"]] == [("M1", "1.36.3", "2.3.4")]
    assert found["api_servers"] == {"m1": version("1.36.3")}
    assert found["etcd_reasons"] == {"m1": "slow"}
    assert rules.read(status, {"m1": "M1", "w1": "w1"}, ["M1"])["etcd_reasons"] == {}


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match=r"invalid literal|not enough"):
        version("newest")
