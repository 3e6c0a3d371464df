"""The `cluster_facts` action: one host's view of the cluster, of the groups, the settings and the probes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from provision import catalog

from .test_action_files import action

MEMBER = {
    "arch": "amd64",
    "kubernetes": {"kubelet_conf": True, "admin_conf": True, "api_ready": True, "manifests": ["kube-apiserver"]},
    "etcd": {"healthy": True, "data_dir_present": True},
    "balancer": True,
    "backup_timer": False,
}
BARE: dict[str, Any] = {
    "arch": "amd64",
    "kubernetes": {"kubelet_conf": False},
    "etcd": {"data_dir_present": False},
    "balancer": False,
    "backup_timer": False,
}
GROUPS = {"kube_control_plane": ["CP1", "cp2"], "kube_node": ["w1", "cp2"], "etcd": [], "load_balancer": []}


def facts(*arguments: Any, **settings: Any) -> dict[str, Any]:
    """The facts of the host `name`, as `decided` tells them."""
    return dict(decided(*arguments, **settings)["ansible_facts"])


def groups_of(*arguments: Any, **settings: Any) -> set[str]:
    """The groups that a host is put into."""
    return set(decided(*arguments, **settings)["add_host"]["groups"])


def decided(
    name: str = "CP1",
    groups: dict[str, list[str]] | None = None,
    probes: Any = None,
    arguments: dict[str, str] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """What is decided for `name`; a host that is not in `probes` is bare, one whose probe is None did not answer."""
    own = {
        "cluster_version": catalog.load().default_version,
        "cluster_vip": "",
        "cluster_api_address": "",
        "cluster_api_port": 8443,
        "cluster_domain": "example.local",
        "cluster_bundle": "",
        "cluster_mirror_url": "",
        **settings,
    }
    named = groups or GROUPS
    hostvars: dict[str, dict[str, Any]] = {
        host: {"inventory_hostname": host, "ansible_host": f"10.0.0.{number}"}
        for number, host in enumerate(sorted({host for hosts in named.values() for host in hosts}), start=1)
    }
    for host, variables in hostvars.items():
        probe = (probes or {}).get(host, BARE)
        variables["__cluster_probe"] = {"host": probe} if probe else {"unreachable": True}
    plugin = action("cluster_facts")(
        task=SimpleNamespace(args=arguments or {}, async_val=0, check_mode=False),
        connection=SimpleNamespace(_shell=SimpleNamespace(tmpdir=None)),
        play_context=SimpleNamespace(),
        loader=None,
        templar=None,
        shared_loader_obj=None,
    )
    variables = {**own, **hostvars[name], "groups": named, "hostvars": hostvars}
    found: dict[str, Any] = plugin.run(task_vars=variables)
    return found


def test_members_have_their_inventory_name_node_name_and_address() -> None:
    found = facts("w1")
    assert found["cluster_control_planes"] == [
        {"host": "CP1", "name": "cp1", "address": "10.0.0.1"},
        {"host": "cp2", "name": "cp2", "address": "10.0.0.2"},
    ]
    assert (found["cluster_node_name"], found["cluster_address"]) == ("w1", "10.0.0.3")


def test_etcd_and_the_balancer_run_on_the_control_planes_unless_they_have_groups() -> None:
    found = facts()
    assert found["cluster_etcd_members"] == found["cluster_load_balancers"] == found["cluster_control_planes"]
    groups = {**GROUPS, "etcd": ["e1"], "load_balancer": ["lb1"]}
    apart = facts(groups=groups)
    assert [member["host"] for member in apart["cluster_etcd_members"]] == ["e1"]
    assert [member["host"] for member in apart["cluster_load_balancers"]] == ["lb1"]


def test_hosts_are_put_into_the_groups_that_plays_work_on() -> None:
    assert groups_of() == {"cluster_present", "cluster_leads", "cluster_etcd", "balancer_local"}
    assert groups_of("w1") == {"cluster_present", "balancer_local"}
    groups = {**GROUPS, "etcd": ["e1"], "load_balancer": ["lb1"]}
    assert groups_of("e1", groups) == {"cluster_present", "cluster_etcd", "balancer_none"}
    assert groups_of("lb1", groups, cluster_vip="10.0.0.9") == {"cluster_present", "balancer_vip"}


def test_who_balanced_before_or_has_a_timer_for_backups_is_told() -> None:
    probes = {"CP1": {**MEMBER, "backup_timer": True}}
    assert groups_of(probes=probes, cluster_api_address="10.0.0.9") >= {
        "balancer_none",
        "balancer_gone",
        "backup_timed",
    }
    assert "backup_timed" in groups_of(backup_interval_hours=6)
    assert "balancer_gone" not in groups_of(probes=probes)


def test_a_node_in_two_groups_is_one_node() -> None:
    assert facts()["cluster_nodes"] == ["cp1", "cp2", "w1"]


@pytest.mark.parametrize(
    ("settings", "mode", "address", "balancers"),
    [
        ({"cluster_vip": "10.0.0.9"}, "vip", "10.0.0.9", {"CP1": "vip", "w1": "none"}),
        ({"cluster_api_address": "10.0.0.8"}, "external", "10.0.0.8", {"CP1": "none", "w1": "none"}),
        ({}, "local", "127.0.0.1", {"CP1": "local", "w1": "local"}),
    ],
)
def test_the_api_has_one_name_whatever_stands_behind_it(
    settings: dict[str, str], mode: str, address: str, balancers: dict[str, str]
) -> None:
    for name, balancer in balancers.items():
        found = facts(name, **settings)
        assert (found["cluster_api_mode"], found["cluster_api_ip"]) == (mode, address)
        assert found["cluster_api_endpoint"] == "api.example.local:8443"
        assert found["cluster_balancer"] == balancer


def test_the_leader_is_a_healthy_member_and_a_silent_host_is_passed_over() -> None:
    fresh = facts()
    assert (fresh["cluster_leader"], fresh["cluster_exists"]) == ("CP1", False)
    grown = facts(probes={"cp2": MEMBER})
    assert (grown["cluster_leader"], grown["cluster_etcd_leader"], grown["cluster_exists"]) == ("cp2", "cp2", True)
    assert facts("w1", probes={"CP1": None})["cluster_leader"] == "cp2"


def test_who_never_came_in_is_no_member_while_others_come_and_go() -> None:
    probes = {"CP1": MEMBER}
    assert len(facts(probes=probes)["cluster_control_planes"]) == 2
    for joining, planes in (("w1", ["CP1"]), ("", ["CP1"]), ("cp2", ["CP1", "cp2"])):
        found = decided("cp2", probes=probes, arguments={"joining": joining}, cluster_vip="10.0.0.9")
        known = found["ansible_facts"]
        for office in ("cluster_control_planes", "cluster_etcd_members", "cluster_load_balancers"):
            assert [member["host"] for member in known[office]] == planes
        assert known["cluster_balancer"] == ("vip" if joining == "cp2" else "none")
        groups = (
            {"cluster_present", "cluster_etcd", "balancer_vip"}
            if joining == "cp2"
            else {"cluster_stranger", "balancer_none"}
        )
        assert set(found["add_host"]["groups"]) == groups
    assert groups_of("w1", probes=probes, arguments={"joining": ""}) == {"cluster_stranger", "balancer_none"}
    # What was broken off while it left goes on.
    leaving = groups_of("cp2", probes=probes, arguments={"joining": "", "leaving": "cp2"}, cluster_vip="10.0.0.9")
    assert leaving == {"cluster_present", "cluster_etcd", "balancer_none"}
    # One that does not answer may well be a member.
    gone = facts(probes={"CP1": MEMBER, "cp2": None}, arguments={"joining": ""})
    assert [member["host"] for member in gone["cluster_control_planes"]] == ["CP1", "cp2"]
    assert gone["cluster_absent"] == ["cp2"]


def test_without_a_bundle_downloads_have_their_upstream() -> None:
    kubelet = facts()["cluster_artifacts"]["kubelet"]
    assert kubelet["url"].startswith("https://")
    assert len(kubelet["sha256"]) == 64


def test_with_a_bundle_they_come_from_the_mirror_for_the_hosts_architecture(tmp_path: Path) -> None:
    held = {"artifacts": {"kubelet": {"version": "1", "arm64": {"path": "files/kubelet-arm64", "sha256": "ab"}}}}
    (tmp_path / "manifest.json").write_text(json.dumps(held))
    found = facts(
        "w1",
        probes={"w1": {**BARE, "arch": "arm64"}},
        cluster_bundle=str(tmp_path),
        cluster_mirror_url="http://10.0.0.7:8080",
    )
    kubelet = found["cluster_artifacts"]["kubelet"]
    assert (kubelet["url"], kubelet["sha256"]) == ("http://10.0.0.7:8080/files/kubelet-arm64", "ab")


def test_a_bundle_that_is_not_there_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="is not there"):
        facts(cluster_bundle=str(tmp_path))
