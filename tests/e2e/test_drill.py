"""Drills on the living cluster: what is injured heals, what users noticed is told, and nothing is left."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.site import Call, Site, eventually

WAYS = ("txt", "json", "html")


def _healthy(site: Site) -> None:
    status = site.provision("status")
    assert status.code == 0, status.text


def _drilled(site: Site, *words: str) -> Call:
    # What an earlier test or drill changed may still be on its way back.
    done: list[Call] = []

    def begun() -> None:
        done[:] = [site.provision("drill", *words)]
        assert "not healthy before the drill" not in done[0].text

    eventually(begun, seconds=120)
    return done[0]


def _gap(done: Call, measure: str) -> float:
    return next(float(each["gap"]) for each in _report(done)["measures"] if each["name"] == measure)


def _report(done: Call) -> dict[str, Any]:
    assert done.document.get("report"), done.text
    return dict(done.document["report"])


def _assert_nothing_is_left(site: Site, done: Call) -> None:
    report = _report(done)
    assert (report["healthy"], report["changes"]) == (True, 0), done.text
    left = site.kubectl("get namespace,csr -o name")
    assert not [line for line in left.splitlines() if "provision-drill" in line and not _going(site, line)]
    for host in report["target"].split(", "):
        left = site.run(host, "ls -d /run/provision-* /var/lib/etcd.* 2>/dev/null || true")
        assert not re.search("/run/provision-fault|/var/lib/etcd", left)


def _going(site: Site, name: str) -> bool:
    return "Terminating" in site.kubectl(f"get {name} -o jsonpath='{{.status.phase}}' --ignore-not-found")


@pytest.fixture(scope="module")
def killed(cluster: Site) -> Call:
    return _drilled(cluster, "vip-holder")


def test_the_vip_moves_within_two_seconds(killed: Call, record_property: pytest.RecordProperty) -> None:
    record_property("api_gap_seconds", _gap(killed, "API read"))
    assert killed.code == 0, killed.text
    assert 0 < _gap(killed, "API read") <= 2.0
    assert _gap(killed, "API write") < 10


def test_the_cluster_is_as_before(cluster: Site, killed: Call) -> None:
    _assert_nothing_is_left(cluster, killed)
    assert cluster.provision("status").document["vip"]["holder"] in cluster.control_planes


# On a starved machine advertisements are lost, and then the VIP moves once more: seen once.
@pytest.mark.full
def test_a_holder_that_comes_back_takes_nothing_away(cluster: Site, killed: Call) -> None:
    assert cluster.provision("status").document["vip"]["holder"] != killed.document["target"]


def test_the_report_stands_alone_in_three_forms(killed: Call) -> None:
    files = {Path(name).suffix.removeprefix("."): Path(name) for name in killed.document["files"]}
    assert set(files) == set(WAYS)
    assert json.loads(files["json"].read_text())["drill"] == "vip-holder"
    assert "longest gap" in files["txt"].read_text()
    page = files["html"].read_text()
    assert "<svg" in page
    assert "http" not in page
    assert "src=" not in page
    for file in files.values():
        assert "PRIVATE KEY" not in file.read_text()


def test_the_run_is_recorded_with_its_figures(cluster: Site, killed: Call) -> None:
    record = cluster.provision("runs", "show", str(killed.document["run"])).document
    assert (record["workflow"], record["state"]) == ("drill", "done")
    assert {each["name"] for each in record["result"]["report"]["measures"]} == {"API read", "API write", "Service"}


@pytest.mark.full
def test_handing_the_vip_over_is_hardly_noticed(cluster: Site, record_property: pytest.RecordProperty) -> None:
    done = _drilled(cluster, "vip-holder", "--graceful")
    record_property("api_gap_seconds", _gap(done, "API read"))
    assert done.code == 0, done.text
    assert _gap(done, "API read") <= 0.3
    _assert_nothing_is_left(cluster, done)


@pytest.mark.full
def test_a_killed_balancer_starts_again(cluster: Site) -> None:
    done = _drilled(cluster, "balancer-process")
    assert done.code == 0, done.text
    assert cluster.host(done.document["target"]).service("haproxy").is_running
    _assert_nothing_is_left(cluster, done)


# A minute of it is Kubernetes' own patience; molecule/flow_drill does it too.
@pytest.mark.full
def test_pods_of_a_dead_worker_start_elsewhere(cluster: Site) -> None:
    done = _drilled(cluster, "worker")
    assert done.code == 0, done.text
    assert done.document["target"] == "w1"
    assert 0 < float(_report(done)["rescheduled"]) < 120
    _assert_nothing_is_left(cluster, done)


@pytest.mark.full
@pytest.mark.parametrize("drill", ["master", "etcd-member", "network-partition"])
def test_a_lost_member_of_three_is_survived(cluster: Site, drill: str) -> None:
    done = _drilled(cluster, drill)
    assert done.code == 0, done.text
    _assert_nothing_is_left(cluster, done)


@pytest.mark.full
def test_a_lost_majority_is_restored(cluster: Site) -> None:
    done = _drilled(cluster, "etcd-majority-restore")
    assert done.code == 0, done.text
    assert len(_report(done)["target"].split(", ")) == 2
    assert _gap(done, "API write") > 6
    _assert_nothing_is_left(cluster, done)


def test_a_cluster_that_is_ill_already_is_not_drilled(cluster: Site) -> None:
    victim = cluster.control_planes[0]
    cluster.run(victim, "systemctl stop haproxy")
    try:
        refused = cluster.provision("drill", "master")
        assert refused.code == 4, refused.text
        assert "not healthy before the drill" in refused.text
    finally:
        cluster.run(victim, "systemctl start haproxy")
    eventually(lambda: _healthy(cluster), seconds=120, every=2)


@pytest.mark.parametrize("drill", ["clock-jump", "full-disk"])
def test_a_container_refuses_what_would_reach_this_machine(cluster: Site, drill: str) -> None:
    refused = cluster.provision("drill", drill)
    assert refused.code == 4, refused.text
    assert "a node in a container" in refused.document["error"]["message"]
