"""What the status makes of a healthy site, and of each illness."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from provision import status_report

from .module_runner import load

status_module = load("cluster_status")
etcd_report = status_module.report.__globals__
SITE: dict[str, Any] = {
    "nodes": [
        {"host": "M1", "name": "m1", "control_plane": True},
        {"host": "M2", "name": "m2", "control_plane": True},
        {"host": "w1", "name": "w1", "control_plane": False},
    ],
    "version": "1.36.4",
    "vip": "10.77.0.10",
    "api_mode": "vip",
    "api_endpoint": "api.cluster.local:8443",
}


def host(**changes: Any) -> dict[str, Any]:
    base = {
        "units": {"kubelet.service": "active"},
        "vip_held": False,
        "certificates": [{"name": "ca.crt", "days_left": 3649}],
    }
    return {**base, **changes}


def node(name: str, role: str, **changes: Any) -> dict[str, Any]:
    row = {
        "name": name, "roles": [role], "ready": True, "reason": "", "version": "v1.36.4", "address": "10.77.0.1",
        "os": "Debian", "runtime": "containerd://2.3.7", "taints": [], "labels": {},
        "schedulable": True, "pod_cidr": "",
    }  # fmt: skip
    return {**row, **changes}


def member(name: str, **changes: Any) -> dict[str, Any]:
    row = {"name": name, "address": "10.77.0.11", "healthy": True, "version": "3.6.14", "db_size": 4096, "reason": ""}
    return {**row, **changes}


@pytest.fixture
def hosts() -> dict[str, Any]:
    return {"M1": host(vip_held=True), "M2": host(), "w1": host()}


@pytest.fixture
def cluster() -> dict[str, Any]:
    return {
        "api": {"endpoint": "api.cluster.local:8443", "ready": True, "reason": ""},
        "nodes": [node("m1", "control-plane"), node("m2", "control-plane"), node("w1", "worker")],
        "components": [{"name": "kube-apiserver", "node": "m1", "version": "v1.36.4", "ready": True}],
        "etcd": {"leader": "m1", "db_size": 4096, "alarms": [], "members": [member("m1"), member("m2")]},
    }


def build(hosts: dict[str, Any], cluster: dict[str, Any] | None, **site: Any) -> dict[str, Any]:
    status: dict[str, Any] = status_report.build({**deepcopy(SITE), **site}, hosts, cluster)
    return status


def messages(status: dict[str, Any]) -> str:
    return "\n".join(f"{entry['check']}: {entry['message']}" for entry in status["problems"])


def test_a_healthy_site_has_no_problems(hosts: dict[str, Any], cluster: dict[str, Any]) -> None:
    status = build(hosts, cluster)

    assert status["problems"] == []
    assert status["drift"] == []
    assert status["vip"] == {"address": "10.77.0.10", "holder": "M1", "holders_count": 1}
    assert status["versions"] == {"kubernetes": "1.36.4", "kubelet": "1.36.4", "containerd": "2.3.7", "etcd": "3.6.14"}
    assert status["certificates"][0] == {"host": "M1", "name": "ca.crt", "days_left": 3649}
    assert "labels" not in status["nodes"][0]


def test_a_dead_control_plane_is_told_once(hosts: dict[str, Any], cluster: dict[str, Any]) -> None:
    hosts["M2"] = None
    cluster["nodes"][1] = node("m2", "control-plane", ready=False, reason="Kubelet stopped posting node status.")
    cluster["etcd"]["members"][1] = member("m2", healthy=False, reason="timed out")

    text = messages(build(hosts, cluster))

    assert text.splitlines() == [
        "reachable: M2 does not answer over ssh",
        "etcd: m2 (10.77.0.11) is not healthy: timed out",
    ]


def test_a_host_that_was_removed_is_told_in_one_line(hosts: dict[str, Any], cluster: dict[str, Any]) -> None:
    hosts["w1"]["units"] = {"containerd.service": "not-found", "kubelet.service": "not-found"}
    cluster["nodes"] = [each for each in cluster["nodes"] if each["name"] != "w1"]

    status = build(hosts, cluster)

    assert [row["message"] for row in status["problems"]] == ["w1 is no node of the cluster"]
    assert "delete its line" in status["problems"][0]["hint"]
    assert [row["what"] for row in status["drift"] if row["host"] == "w1"] == [
        "is in the site and no node of the cluster"
    ]


def test_without_any_control_plane_there_is_still_a_report(hosts: dict[str, Any]) -> None:
    status = build({**hosts, "M1": None, "M2": None}, None)

    assert "api: no control plane could be asked" in messages(status)
    assert status["nodes"] == []
    assert status["drift"] == []


@pytest.mark.parametrize(
    ("held", "text"), [([], "no host holds 10.77.0.10"), (["M1", "w1"], "several hosts hold 10.77.0.10: M1, w1")]
)
def test_the_vip_has_one_holder(hosts: dict[str, Any], cluster: dict[str, Any], held: list[str], text: str) -> None:
    for name, entry in hosts.items():
        entry["vip_held"] = name in held

    assert text in messages(build(hosts, cluster))


def test_a_site_without_a_vip_has_none(hosts: dict[str, Any], cluster: dict[str, Any]) -> None:
    hosts["M1"]["vip_held"] = False
    status = build(hosts, cluster, vip="", api_mode="local")

    assert "vip" not in status
    assert status["problems"] == []


@pytest.mark.parametrize(
    ("days", "text"), [(29, "ends in 29 days"), (0, "ends in 0 days"), (-3, "ended 3 days ago"), (30, "")]
)
def test_certificates_are_due_in_time(hosts: dict[str, Any], cluster: dict[str, Any], days: int, text: str) -> None:
    hosts["w1"]["certificates"] = [{"name": "kubelet.pem", "days_left": days}]

    found = messages(build(hosts, cluster))

    assert (f"certificate: kubelet.pem on w1 {text}" in found) if text else found == ""


def test_etcd_without_a_leader_with_an_alarm_or_too_large(hosts: dict[str, Any], cluster: dict[str, Any]) -> None:
    cluster["etcd"] |= {"leader": "", "alarms": ["NOSPACE on m1"], "db_size": 1900 * 1024**2}

    text = messages(build(hosts, cluster))

    assert "the members have no leader" in text
    assert "alarm NOSPACE on m1" in text
    assert "the database has 1900 MiB" in text


def test_what_differs_from_the_site_is_drift(hosts: dict[str, Any], cluster: dict[str, Any]) -> None:
    hosts["w1"]["units"] = {"kubelet.service": "failed"}
    cluster["nodes"] = [
        node("m1", "control-plane", version="v1.36.3"),
        node("w1", "worker", labels={"disk": "slow"}),
        node("old", "worker"),
    ]
    nodes = deepcopy(SITE["nodes"])
    nodes[2] |= {"labels": {"disk": "fast"}, "taints": ["gpu=yes:NoSchedule"]}

    drift = [f"{entry['host']}: {entry['what']}" for entry in build(hosts, cluster, nodes=nodes)["drift"]]

    assert drift == [
        "m2: is in the site and no node of the cluster",
        "old: is a node of the cluster and not in the site",
        "m1: runs Kubernetes 1.36.3, the site says 1.36.4",
        "w1: lacks the label disk=fast",
        "w1: lacks the taint gpu=yes:NoSchedule",
        "w1: kubelet.service is failed",
    ]


def test_what_somebody_changed_by_hand_is_a_problem_with_its_remedy(
    hosts: dict[str, Any], cluster: dict[str, Any]
) -> None:
    hosts["w1"]["changes"] = ["/etc/crictl.yaml was changed by hand"]
    hosts["M2"]["units"] = {"provision-csr-approver.timer": "inactive"}

    status = build(hosts, cluster)

    assert {"host": "w1", "what": "/etc/crictl.yaml was changed by hand"} in status["drift"]
    assert [problem["message"] for problem in status["problems"]] == [
        "provision-csr-approver.timer on M2 is inactive",
        "/etc/crictl.yaml was changed by hand on w1",
    ]
    assert "provision cluster" in status["problems"][1]["hint"]


def test_a_taint_reads_as_kubectl_writes_it() -> None:
    taints = [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}, {"key": "gpu", "effect": "NoExecute"}]
    assert [status_report.taint_text(taint) for taint in taints] == ["gpu=yes:NoSchedule", "gpu:NoExecute"]


def test_a_node_object_becomes_a_row() -> None:
    row = status_module.node_row(
        {
            "metadata": {"name": "m1", "labels": {"node-role.kubernetes.io/control-plane": ""}},
            "spec": {
                "taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "c", "effect": "NoExecute"}]
            },
            "status": {
                "conditions": [{"type": "Ready", "status": "Unknown", "message": "gone"}],
                "addresses": [{"type": "Hostname", "address": "m1"}, {"type": "InternalIP", "address": "10.77.0.11"}],
                "nodeInfo": {"kubeletVersion": "v1.36.4"},
            },
        }
    )

    assert (row["roles"], row["ready"], row["reason"]) == (["control-plane"], False, "gone")
    assert (row["address"], row["taints"]) == ("10.77.0.11", ["a=b:NoSchedule", "c:NoExecute"])


def test_etcd_members_are_asked_one_by_one_and_a_dead_one_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(asked: dict[str, str]) -> dict[str, Any]:
        if asked["name"] == "m2":
            raise OSError("timed out")
        number = asked["name"][1:]
        alarms = [{"memberID": "1", "alarm": "NOSPACE"}]
        return {
            "id": number, "leader": "3", "version": "3.6.14", "db_size": 10 * int(number), "alarms": alarms,
            "healthy": True, "reason": "",
        }  # fmt: skip

    monkeypatch.setitem(etcd_report, "ask_member", ask)

    etcd = etcd_report["report"]([{"name": f"m{n}", "address": f"10.77.0.{n}"} for n in (1, 2, 3)])

    assert (etcd["leader"], etcd["db_size"], etcd["alarms"]) == ("m3", 30, ["NOSPACE on m1"])
    assert [(row["name"], row["healthy"], row["reason"]) for row in etcd["members"]] == [
        ("m1", True, ""),
        ("m2", False, "timed out"),
        ("m3", True, ""),
    ]


def test_a_site_that_nobody_reaches_says_why() -> None:
    words = {
        "m1": "Failed to connect to the host via ssh: ssh: connect to host 10.77.0.11 port 22: Connection timed out"
    }
    status = status_report.nobody_answers(words)
    assert status["reached"] is False
    assert status["problems"][0]["message"].endswith(
        "m1: ssh: connect to host 10.77.0.11 port 22: Connection timed out"
    )
    assert "is the machine on" in status["problems"][0]["hint"]
