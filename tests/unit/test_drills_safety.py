"""A drill is refused where the cluster would not survive it, and injures the host that it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision import inventory
from provision.drills import safety
from provision.drills.catalog import DRILLS, GRACEFUL
from provision.errors import PreflightRefused, UsageError
from provision.inventory import Site

from .sites import write_site

HA = """[kube_control_plane]
cp1 ansible_host=192.0.2.11
cp2 ansible_host=192.0.2.12
cp3 ansible_host=192.0.2.13

[kube_node]
w1 ansible_host=192.0.2.21
"""


@pytest.fixture
def ha(tmp_path: Path) -> Site:
    return inventory.load(write_site(tmp_path, "cluster_vip=192.0.2.10", hosts=HA))


def status(*, ill: tuple[str, ...] = (), problems: tuple[str, ...] = ()) -> dict[str, Any]:
    names = ["cp1", "cp2", "cp3"]
    nodes = [{"name": name, "roles": ["control-plane"], "ready": name not in ill} for name in names]
    return {
        "nodes": [*nodes, {"name": "w1", "roles": [], "ready": True}],
        "vip": {"address": "192.0.2.10", "holder": "cp2"},
        "etcd": {"leader": "cp3", "members": [{"name": name, "healthy": name not in ill} for name in names]},
        "problems": [{"message": message} for message in problems],
    }


@pytest.mark.parametrize(
    ("drill", "target"),
    [
        ("vip-holder", "cp2"),
        ("master", "cp1"),
        ("etcd-member", "cp3"),
        ("balancer-process", "cp2"),
        ("worker", "w1"),
        ("network-partition", "cp3"),
        ("full-disk", "cp1"),
        ("etcd-majority-restore", "cp1"),
    ],
)
def test_the_host_that_a_drill_is_about(ha: Site, drill: str, target: str) -> None:
    assert safety.choose(ha, DRILLS[drill], status()).name == target
    safety.require_safe(DRILLS[drill], status(), ha.host(target))


@pytest.mark.parametrize(
    ("drill", "first", "all_of_them"),
    [("etcd-member", "cp3", ["cp3"]), ("etcd-majority-restore", "cp3", ["cp3", "cp1"])],
)
def test_a_majority_is_injured_where_it_is_the_point(ha: Site, drill: str, first: str, all_of_them: list[str]) -> None:
    injured = safety.injured(ha, DRILLS[drill], ha.host(first))
    assert [host.name for host in injured] == all_of_them


def test_another_host_is_taken_only_when_it_fits(ha: Site) -> None:
    assert safety.choose(ha, DRILLS["master"], status(), "cp3").name == "cp3"
    with pytest.raises(UsageError, match="cp1 is not now") as refused:
        safety.choose(ha, GRACEFUL, status(), "cp1")
    assert refused.value.hint == "that is cp2"


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (status(problems=("cp1 is not ready",)), "not healthy before the drill: cp1 is not ready"),
        (status(ill=("cp1",)), "etcd would be left with 1 of 3 members"),
    ],
)
def test_what_a_cluster_would_not_survive(ha: Site, now: dict[str, Any], says: str) -> None:
    with pytest.raises(PreflightRefused, match=says):
        safety.require_safe(DRILLS["vip-holder"], now, ha.host("cp2"))


def test_the_last_control_plane_is_left_alone(ha: Site) -> None:
    now = {**status(ill=("cp1", "cp3")), "etcd": {"members": []}}
    with pytest.raises(PreflightRefused, match="no control plane would be left"):
        safety.require_safe(DRILLS["master"], now, ha.host("cp2"))


@pytest.mark.parametrize("drill", DRILLS.values(), ids=lambda drill: drill.name)
def test_a_site_of_one_control_plane_and_one_worker_can_have_none(tmp_path: Path, drill: Any) -> None:
    site = inventory.load(write_site(tmp_path))
    assert safety.impossible(site, drill, containers=False)


@pytest.mark.parametrize("drill", [*DRILLS.values(), GRACEFUL], ids=lambda drill: drill.name)
def test_containers_have_no_clock_and_no_disk_of_their_own(ha: Site, drill: Any) -> None:
    assert safety.impossible(ha, drill, containers=False) == ""
    assert bool(safety.impossible(ha, drill, containers=True)) == (drill.name in ("full-disk", "clock-jump"))
