"""Each rule refuses what it is for, and nothing else."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.preflight_rules import WHY_FIXED, Machine, Settings, Site, assess

PROBE: dict[str, Any] = {
    "is_root": True,
    "python": "3.13.5",
    "hostname": "m1",
    "arch": "amd64",
    "product_uuid": "u1",
    "virtualization": "",
    "os_id": "debian",
    "os_version": "13",
    "os_pretty": "Debian GNU/Linux 13 (trixie)",
    "memory_mb": 4096,
    "disk": {"/": 50000, "/var/lib": 50000},
    "swap": [],
    "cgroup_version": 2,
    "clock_skew_s": 0.1,
    "clock_error_s": 0.4,
    "time_sync": "chronyd",
    "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "addresses": [{"address": "10.0.0.11", "prefix": 24}]}],
    "ports_listening": {},
    "systemd": True,
    "vip": {"address": "10.0.0.10", "held": False, "answers": False, "mac": "", "interface": "eth0", "prefix": 24},
    "kubernetes": {"kubelet_conf": False, "cluster_ca_fingerprint": "", "kubelet_version": ""},
    "etcd": {"data_dir_present": False, "ca_fingerprint": "", "version": "", "members": {}},
}
CONTROL_PLANE = frozenset({"control_plane", "etcd", "node", "k8s", "balancer"})
MEMBER = {"kubernetes.kubelet_conf": True, "kubernetes.cluster_ca_fingerprint": "ours"}


def machine(number: int = 1, roles: frozenset[str] = CONTROL_PLANE, **changes: Any) -> Machine:
    """Machine mN; a change's name is a key of the probe, with a dot a key inside (`**{"vip.held": True}`)."""
    probe = copy.deepcopy(PROBE)
    address = f"10.0.0.{10 + number}"
    probe["hostname"], probe["product_uuid"] = f"m{number}", f"u{number}"
    probe["interfaces"][0] |= {"mac": f"02:00:00:00:00:0{number}", "addresses": [{"address": address, "prefix": 24}]}
    for name, value in changes.items():
        part, _, key = name.rpartition(".")
        (probe[part] if part else probe)[key] = value
    return Machine(f"m{number}", address, roles, probe)


def site(*machines: Machine, exists: bool = False, complete: bool = True, **settings: Any) -> Site:
    chosen = Settings(**({"api_mode": "vip", "vip": "10.0.0.10"} | settings))
    return Site(chosen, machines, "m1", "m1", exists, complete, {one.name: one for one in machines})


def checks(one: Machine, *others: Machine, **options: Any) -> list[str]:
    return [problem.check for problem in assess(one, site(one, *others, **options))[0]]


def test_a_fit_machine_has_no_problems_and_no_warnings() -> None:
    one = machine()
    assert assess(one, site(one, machine(2), machine(3))) == ([], [])


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"is_root": False}, "root"),
        ({"os_id": "alpine"}, "os"),
        ({"os_version": "11"}, "os"),
        ({"os_id": "ubuntu", "os_version": "20.04"}, "os"),
        ({"systemd": False}, "systemd"),
        ({"python": "3.8.10"}, "python"),
        ({"arch": "riscv64"}, "arch"),
        ({"cgroup_version": 1}, "cgroup"),
        ({"swap": ["/dev/sda2"]}, "swap"),
        ({"clock_skew_s": 3600.0}, "clock"),
        ({"clock_skew_s": -61.0}, "clock"),
        ({"memory_mb": 1600}, "memory"),
        ({"interfaces": []}, "address"),
        ({"ports_listening": {"6443": "nginx"}}, "port"),
        ({"ports_listening": {"6443": ""}}, "port"),
        ({"ports_listening": {"6443": "kube-apiserver"}}, "port"),
        ({"ports_listening": {"2379": "etcd"}}, "port"),
        ({"ports_listening": {"8443": "nginx"}}, "port"),
        ({"vip.interface": ""}, "vip"),
        ({"vip.answers": True, "vip.mac": "02:00:00:00:00:99"}, "vip"),
        ({"kubernetes.kubelet_conf": True}, "membership"),
        ({"etcd.data_dir_present": True}, "etcd"),
    ],
)
def test_it_refuses(changes: dict[str, Any], check: str) -> None:
    assert checks(machine(**changes)) == [check]


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"os_id": "alpine"}, {"os_any_allowed": True}),
        ({"os_id": "rocky", "os_version": "9.5"}, {}),
        ({"os_id": "ubuntu", "os_version": "24.04"}, {}),
        ({"cgroup_version": 1}, {"cgroup_v1_allowed": True}),
        ({"swap": ["/dev/sda2"]}, {"swap": "off"}),
        ({"swap": ["/dev/sda2"]}, {"swap": "ignore"}),
        ({"swap": ["/dev/sda2"], "virtualization": "container"}, {}),
        ({"clock_skew_s": 61.0, "clock_error_s": 2.0}, {}),
        ({"memory_mb": 900}, {"memory_min_mb": 800}),
        ({"ports_listening": {"2379": "etcd"}, "etcd.ca_fingerprint": "ours", "etcd.data_dir_present": True}, {}),
        ({"ports_listening": {"8443": "haproxy"}}, {}),
        ({"ports_listening": {"6443": "kube-apiserver"}, **MEMBER}, {"exists": True}),
        ({"vip.held": True, "vip.answers": True}, {"exists": True}),
        ({"vip.interface": ""}, {"api_mode": "local", "vip": ""}),
    ],
)
def test_it_lets_pass(changes: dict[str, Any], settings: dict[str, Any]) -> None:
    assert checks(machine(**changes), **settings) == []


def test_a_worker_needs_less_memory_and_other_ports() -> None:
    worker = frozenset({"node", "k8s"})
    assert checks(machine(4, worker, memory_mb=1100, ports_listening={"6443": "nginx"}, **{"vip.interface": ""})) == []
    assert checks(machine(4, worker, memory_mb=1000)) == ["memory"]


def test_a_host_outside_the_cluster_may_swap_and_have_old_cgroups() -> None:
    assert checks(machine(5, frozenset({"balancer"}), swap=["/dev/sda2"], cgroup_version=1)) == []


def test_the_vip_may_answer_from_a_machine_of_the_site() -> None:
    holder = machine(2, **{"vip.held": True, "vip.answers": True})
    watcher = machine(1, **{"vip.answers": True, "vip.mac": "02:00:00:00:00:02"})
    assert checks(watcher, holder, machine(3)) == []


def test_the_vip_on_a_machine_that_is_no_balancer_is_named() -> None:
    holder = machine(2, frozenset({"node", "k8s"}), **{"vip.held": True, "vip.answers": True})
    problems, _ = assess(holder, site(holder))
    assert [(p.check, p.message) for p in problems] == [("vip", "m2 holds the VIP 10.0.0.10 and is no load balancer")]


def test_only_one_machine_reports_a_stranger_on_the_vip() -> None:
    seen = {"vip.answers": True, "vip.mac": "02:00:00:00:00:99"}
    one, two, three = machine(1, **seen), machine(2, **seen), machine(3)
    assert checks(one, two, three) == ["vip"]
    assert [p.check for p in assess(two, site(one, two, three))[0]] == []


def test_a_member_that_was_not_probed_may_hold_the_vip() -> None:
    seen = machine(1, **{"vip.answers": True, "vip.mac": "02:00:00:00:00:99"}, **MEMBER)
    assert checks(seen, exists=True, complete=False) == []
    assert checks(seen, exists=True, complete=True) == ["vip"]


def test_a_member_of_another_cluster_is_never_taken_over() -> None:
    leader = machine(1, **MEMBER)
    stranger = machine(2, **(MEMBER | {"kubernetes.cluster_ca_fingerprint": "theirs"}))
    assert checks(stranger, leader, exists=True) == ["membership"]
    assert checks(machine(2, **MEMBER), leader, exists=True) == []


@pytest.mark.parametrize(
    ("running", "wanted", "found"),
    [
        ("1.36.4", "1.36.4", []),
        ("1.36.4", "v1.36.4", []),
        ("1.36.4", "1.36.5", ["version"]),
        ("1.36.4", "1.35.4", ["version"]),
        ("", "1.36.4", []),
    ],
)
def test_a_running_cluster_does_not_change_its_version(running: str, wanted: str, found: list[str]) -> None:
    member = machine(1, **(MEMBER | {"kubernetes.kubelet_version": running}))
    assert checks(member, exists=True, version=wanted) == found


@pytest.mark.parametrize(("wanted", "upgrades"), [("1.36.10", True), ("1.36.3", False)])
def test_only_a_newer_version_is_one_to_upgrade_to(wanted: str, upgrades: bool) -> None:
    member = machine(1, **(MEMBER | {"kubernetes.kubelet_version": "1.36.4"}))
    ((problem,), _) = assess(member, site(member, exists=True, version=wanted))
    assert (f"provision upgrade --to {wanted}" in problem.hint) is upgrades
    assert "set cluster_version to 1.36.4" in problem.hint


def test_a_kubelet_that_never_joined_may_have_any_version() -> None:
    assert checks(machine(1, **{"kubernetes.kubelet_version": "1.35.4"}), version="1.36.4") == []


def test_another_etcd_authority_is_refused() -> None:
    leader = machine(1, **{"etcd.ca_fingerprint": "ours"})
    assert checks(machine(2, **{"etcd.ca_fingerprint": "theirs"}), leader, machine(3)) == ["etcd"]
    assert checks(machine(2, frozenset({"node", "k8s"}), **{"etcd.ca_fingerprint": "theirs"}), leader) == []


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"m1": True, "m2": True}, "is a member of the etcd cluster but has lost its data"),
        ({"m1": True}, "is no member of the etcd cluster that runs"),
        ({"m1": True, "m2": False}, None),  # the first start was interrupted: this one starts as the others did
        ({}, None),
    ],
)
def test_a_living_etcd_cluster_is_joined_by_adding(members: dict[str, bool], found: str | None) -> None:
    leader = machine(1, **{"etcd.data_dir_present": True, "etcd.ca_fingerprint": "ours", "etcd.members": members})
    empty = machine(2)
    assert [problem.message for problem in assess(empty, site(leader, empty))[0]] == ([found] if found else [])


def test_clones_drifting_clocks_and_little_room_are_warnings() -> None:
    one = machine(1, product_uuid="same", time_sync="", disk={"/": 1, "/var/lib": 1})
    two = machine(2, product_uuid="same")
    problems, warnings = assess(one, site(one, two, machine(3)))
    assert problems == []
    assert [warning.check for warning in warnings] == ["product_uuid", "time_sync", "disk"]


def test_messages_say_what_is_wrong_and_what_to_do() -> None:
    one = machine(ports_listening={"6443": "nginx"}, clock_skew_s=-3600.0)
    problems, _ = assess(one, site(one))
    assert [problem.message for problem in problems] == [
        "the clock is 3600 s behind this machine's",
        "port 6443 is used by nginx",
    ]
    assert all(problem.hint for problem in problems)
    assert problems[0].as_dict().keys() == {"check", "message", "hint"}


def test_a_new_etcd_cluster_has_an_odd_number_of_members() -> None:
    one, two, three = machine(1), machine(2), machine(3)
    (problem,) = assess(one, site(one, two))[0]
    assert "etcd would have 2 members" in problem.message
    assert assess(two, site(one, two))[0] == []  # said once
    assert assess(one, site(one, two, three))[0] == []


def test_a_cluster_that_runs_may_pass_through_an_even_number() -> None:
    one, two = machine(1), machine(2)
    assert assess(one, site(one, two, exists=True))[0] == []


FIXED = {"cluster_pod_cidr": "10.244.0.0/16", "cluster_api_port": 8443, "control_plane_proxy_enabled": True}


@pytest.mark.parametrize(
    ("running", "says"),
    [
        (FIXED | {"cluster_api_port": "8443"}, None),
        ({}, None),  # made by an earlier version
        (FIXED | {"cluster_pod_cidr": "10.9.0.0/16"}, "cluster_pod_cidr is 10.9.0.0/16 in the running cluster"),
        (FIXED | {"control_plane_proxy_enabled": False}, "control_plane_proxy_enabled is False"),
    ],
)
def test_a_setting_that_a_running_cluster_keeps_is_refused_once(running: dict[str, Any], says: str | None) -> None:
    members = [machine(number, **MEMBER, **{"kubernetes.settings": running}) for number in (1, 2)]
    here = site(*members, exists=True, fixed=FIXED)

    found = [problem for one in members for problem in assess(one, here)[0]]

    assert [problem.message for problem in found if says and says in problem.message] == [
        problem.message for problem in found
    ]
    assert len(found) == (1 if says else 0)
    assert all("back to" in problem.hint for problem in found)


def test_a_new_cluster_may_have_any_setting() -> None:
    bare = machine(**{"kubernetes.settings": {"cluster_api_port": "1"}})
    assert checks(bare, fixed=FIXED) == []


def test_every_setting_that_stays_has_its_reason_and_is_compared() -> None:
    text = (Path(__file__).parents[2] / "roles/cluster/tasks/preflight.yml").read_text()
    compared = yaml.safe_load(text)[0]["preflight_assess"]["fixed"]
    assert set(compared) == set(WHY_FIXED)


def test_what_the_bus_of_a_gpu_node_shows_is_said() -> None:
    roles = frozenset({"node", "k8s", "gpu"})
    card = {"slot": "0000:3b:00.0", "id": "10de:20b5"}
    screen = {"slot": "0000:00:02.0", "id": "1234:1111"}
    for devices, says in (
        ([card], "m4 has NVIDIA 10de:20b5 at 0000:3b:00.0"),
        ([screen], "no GPU on its PCI bus, which shows 1234:1111 at 0000:00:02.0"),
        ([], "no display controller at all"),
    ):
        one = machine(4, roles, accelerators=devices)
        problems, warnings = assess(one, site(one))
        assert problems == []
        assert [warning.check for warning in warnings] == ["gpu"]
        assert says in warnings[0].message
    assert assess(machine(4, roles - {"gpu"}), site())[1] == []
