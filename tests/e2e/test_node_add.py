"""`provision node add`: a worker, a GPU node and a control plane come into a cluster that runs."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.conftest import Grown
from tests.e2e.site import Call, Site


def _evaluated(document: object) -> dict[str, int]:
    assert isinstance(document, dict)
    return {host: tally["evaluated"] for host, tally in document["hosts"].items() if tally["evaluated"]}


def _node(site: Site, name: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(site.kubectl(f"get node {name} -o json", on="cp2"))
    return found


def test_each_comes_in(grown: Grown, record_property: pytest.RecordProperty) -> None:
    for name, call in grown.calls.items():
        assert call.code == 0, call.text
        record_property(f"seconds_{name}", round(call.seconds, 1))
    assert grown.interrupted == 130, "w2 was to be broken off in the middle"
    ready = grown.site.kubectl("get nodes --no-headers", on="cp2")
    assert len(re.findall(r"^\S+ +Ready ", ready, re.MULTILINE)) == 7, ready


@pytest.mark.parametrize("name", ["w2", "gpu1"])
def test_a_worker_changes_nobody_else(grown: Grown, name: str) -> None:
    assert grown.calls[name].changed_hosts == {name}


def test_a_control_plane_is_told_to_the_balancers_alone(grown: Grown) -> None:
    others = {(change["host"], change["role"]) for change in grown.calls["cp4"].changes if change["host"] != "cp4"}
    assert {host for host, role in others if role == "load_balancer"} == {"cp1", "cp2", "cp3"}
    # etcd's list of members is changed through one of them.
    assert {role for _, role in others} <= {"load_balancer", "etcd", "node"}


def test_the_plan_names_what_the_run_then_changes(grown: Grown) -> None:
    assert grown.plan.code == 0, grown.plan.text
    plan, run = grown.plan.changes, grown.calls["cp4"].changes
    assert {(each["host"], each["role"]) for each in plan} == {(each["host"], each["role"]) for each in run}
    # The timer of a control plane may approve a certificate first: then the run does one thing less.
    assert {(each["host"], each["task"]) for each in run} <= {(each["host"], each["task"]) for each in plan}


def test_nothing_was_restarted(grown: Grown) -> None:
    before, after = (text.splitlines() for text in grown.starts)
    # A reload of keepalived and HAProxy keeps their first process.
    assert set(before) <= set(after)


def test_the_api_went_on(grown: Grown, record_property: pytest.RecordProperty) -> None:
    record_property("api_gap_seconds", round(grown.gap, 2))
    # Three machines are unpacked on the disk that etcd writes to: on a slow one its members wait for it.
    assert grown.gap < 10


@pytest.mark.full
def test_clients_of_the_api_hardly_noticed(grown: Grown) -> None:
    assert grown.gap < 1


def test_the_new_control_plane_serves_and_votes(grown: Grown) -> None:
    address = grown.site.address("cp4")
    assert grown.site.kubectl(f"--server https://{address}:6443 get --raw /readyz", on="cp4") == "ok"
    listed = grown.site.run(
        "cp2",
        "etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/etcd/pki/ca.crt --cert /etc/etcd/pki/server.crt "
        "--key /etc/etcd/pki/server.key member list",
    )
    (own,) = [line for line in listed.splitlines() if "cp4" in line]
    assert own.endswith("started, cp4, " + f"https://{address}:2380, https://{address}:2379, false")
    assert "existing" in grown.site.run("cp4", "cat /etc/etcd/bootstrap.env")


def test_the_even_number_of_etcd_members_is_warned_of(grown: Grown) -> None:
    assert "etcd has 4 members" in grown.calls["cp4"].text


def test_a_gpu_node_is_labelled_and_prepared(grown: Grown) -> None:
    assert "node-role.kubernetes.io/gpu" in _node(grown.site, "gpu1")["metadata"]["labels"]  # type: ignore[operator]
    assert grown.site.host("gpu1").file("/etc/cdi").is_directory
    assert grown.site.host("gpu1").file("/etc/containerd/conf.d").is_directory
    assert any(warning["check"] == "gpu" for warning in grown.calls["gpu1"].document["warnings"])


@pytest.fixture(scope="module")
def again(grown: Grown) -> Call:
    """What `node add` does for a node that is there."""
    return grown.site.provision("node", "add", "w2", "--yes")


def test_a_second_time_there_is_nothing_to_do(again: Call) -> None:
    assert again.code == 0, again.text
    assert again.changes == []


def test_the_work_does_not_grow_with_the_cluster(grown: Grown, again: Call) -> None:
    """Twenty more workers in the inventory, at addresses where nothing is: they are never asked."""
    before = grown.site.file.read_text()
    try:
        for number in range(20):
            grown.site.write_host("kube_node", f"far{number}", 100 + number)
        many = grown.site.provision("node", "add", "w2", "--yes")
    finally:
        grown.site.file.write_text(before)
    assert many.code == 0, many.text
    assert _evaluated(many.document) == _evaluated(again.document)


def test_a_name_that_the_inventory_lacks_gets_its_line(cluster: Site) -> None:
    call = cluster.provision("node", "add", "w9", "--yes")
    assert call.code == 3
    assert "w9 ansible_host=ADDRESS" in call.text


def test_a_host_that_does_not_answer_is_said_at_once(grown: Grown) -> None:
    before = grown.site.file.read_text()
    try:
        grown.site.write_host("kube_node", "w3", 199)
        call = grown.site.provision("node", "add", "w3", "--yes")
    finally:
        grown.site.file.write_text(before)
    assert call.code == 5, call.text
    assert call.changes == []
    assert [phase["name"] for phase in call.document["phases"]][-1] == "Admit the new hosts"
