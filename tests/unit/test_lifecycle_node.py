"""What adding and removing nodes says, and refuses, before a machine is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision import inventory, workflows
from provision.errors import InvalidInput, PreflightRefused, ProvisionError, UsageError
from provision.inventory import Site
from provision.lifecycle import node_add, node_remove
from provision.workflows import Request

SITE = """\
[kube_control_plane]
cp1 ansible_host=10.0.0.1
cp2 ansible_host=10.0.0.2
[etcd:children]
kube_control_plane
[kube_node]
w1 ansible_host=10.0.0.11
[gpu_node]
gpu1 ansible_host=10.0.0.12
[nas]
store ansible_host=10.0.0.13
[all:vars]
cluster_vip={vip}
"""


def _site(tmp_path: Path, vip: str = "10.0.0.99") -> Site:
    path = tmp_path / "site.ini"
    path.write_text(SITE.format(vip=vip))
    return inventory.load(path)


def _request(site: Site, name: str, *hosts: str, without: tuple[str, ...] = ()) -> Request:
    return Request(workflows.WORKFLOWS[name], site.path, hosts=hosts, without=without)


@pytest.mark.parametrize(
    ("hosts", "error", "says"),
    [
        (("store",), InvalidInput, "in no group of nodes"),
        (("cp1", "cp2"), UsageError, "no cluster to add them to"),
        ((), UsageError, "name the hosts"),
    ],
)
def test_what_cannot_be_added(tmp_path: Path, hosts: tuple[str, ...], error: type[ProvisionError], says: str) -> None:
    site = _site(tmp_path)
    with pytest.raises(error, match=says):
        node_add.check(site, _request(site, "node add", *hosts))


def test_a_host_that_is_to_come_cannot_be_passed_over(tmp_path: Path) -> None:
    site = _site(tmp_path)
    with pytest.raises(UsageError, match="passed over"):
        node_add.check(site, _request(site, "node add", "w1", without=("w1",)))


def test_a_host_that_the_inventory_does_not_name_gets_the_line_to_write(tmp_path: Path) -> None:
    site = _site(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        workflows._require_known_hosts(site, _request(site, "node add", "w9"))
    assert "[kube_node]: w9 ansible_host=" in str(caught.value.hint)


def test_a_worker_touches_nothing_else(tmp_path: Path) -> None:
    site = _site(tmp_path)
    told = " ".join(node_add.blast(site, _request(site, "node add", "w1", "gpu1")))
    assert "w1 joins as worker" in told
    assert "gpu1 joins as GPU node" in told
    assert "no other host is changed" in told


def test_a_control_plane_reloads_the_balancers_and_an_even_etcd_is_warned_of(tmp_path: Path) -> None:
    site = _site(tmp_path)
    told = " ".join(node_add.blast(site, _request(site, "node add", "cp2")))
    assert "cp2 joins as control plane and etcd member and load balancer" in told
    assert "reloaded on the cluster's other balancers" in told
    assert "even number" in told


def test_without_a_vip_each_node_learns_of_a_control_plane(tmp_path: Path) -> None:
    site = _site(tmp_path, vip="")
    told = " ".join(node_add.blast(site, _request(site, "node add", "cp2")))
    assert "the local HAProxy is reloaded on each other node of the cluster that answers" in told
    assert "no other host is changed" in " ".join(node_add.blast(site, _request(site, "node add", "w1")))


@pytest.mark.parametrize("vip", ["10.0.0.99", ""])
@pytest.mark.parametrize("workflow", ["node add", "node remove"])
def test_nobody_who_may_never_have_come_in_is_named(tmp_path: Path, vip: str, workflow: str) -> None:
    """The site does not tell who of it is a member: here cp3 stands in it as cp1 does."""
    path = tmp_path / "site.ini"
    path.write_text(SITE.format(vip=vip).replace("[etcd:", "cp3 ansible_host=10.0.0.3\n[etcd:"))
    site = inventory.load(path)
    lifecycle = {"node add": node_add, "node remove": node_remove}[workflow]
    told = " ".join(lifecycle.blast(site, _request(site, workflow, "cp2")))
    assert "reloaded on" in told
    assert not {"cp1", "cp3"} & set(told.replace(",", " ").replace(":", " ").split())


def test_the_only_balancer_has_nobody_to_tell(tmp_path: Path) -> None:
    path = tmp_path / "site.ini"
    path.write_text(SITE.format(vip="10.0.0.99") + "[load_balancer]\nlb1 ansible_host=10.0.0.4\n")
    assert node_add.balancers_told(inventory.load(path), ["lb1"]) == ""


def test_the_last_of_a_kind_stays(tmp_path: Path) -> None:
    site = _site(tmp_path)
    with pytest.raises(PreflightRefused, match="no control plane would be left"):
        node_remove.check(site, _request(site, "node remove", "cp1", without=("cp2",)))
    node_remove.check(site, _request(site, "node remove", "cp1"))


@pytest.mark.parametrize(
    ("hosts", "etcd", "api"),
    [
        (("cp3",), "2 etcd members will be left: the cluster survives the loss of NONE of them", False),
        (("cp2", "cp3"), "1 etcd member will be left: the cluster survives the loss of NONE of them", True),
    ],
)
def test_removing_says_what_the_cluster_does_not_survive_afterwards(
    hosts: tuple[str, ...], etcd: str, api: bool, tmp_path: Path
) -> None:
    (tmp_path / "site.ini").write_text(
        "[kube_control_plane]\ncp1 ansible_host=10.0.0.1\ncp2 ansible_host=10.0.0.2\ncp3 ansible_host=10.0.0.3\n"
        "[kube_node]\nw1 ansible_host=10.0.0.11\n"
    )
    site = inventory.load(tmp_path / "site.ini")
    told = node_remove.blast(site, _request(site, "node remove", *hosts))
    assert etcd in told
    assert ("one control plane will be left: the API stands and falls with cp1" in told) is api
    assert "will be left" not in " ".join(node_remove.blast(site, _request(site, "node remove", "w1")))


def test_a_dead_member_is_nobodys_spare(tmp_path: Path) -> None:
    names = [f"cp{number}" for number in range(1, 7)]
    planes = "\n".join(f"{name} ansible_host=10.0.0.{number}" for number, name in enumerate(names, 1))
    (tmp_path / "site.ini").write_text(f"[kube_control_plane]\n{planes}\n[kube_node]\nw1 ansible_host=10.0.0.11\n")
    site = inventory.load(tmp_path / "site.ini")
    told = node_remove.blast(site, _request(site, "node remove", "cp6", without=("cp5",)))
    assert "5 etcd members will be left: the cluster survives the loss of 1" in told


def test_removing_says_who_moves_and_which_balancers_are_reloaded(tmp_path: Path) -> None:
    site = _site(tmp_path)
    told = " ".join(node_remove.blast(site, _request(site, "node remove", "cp1")))
    assert "HAProxy is reloaded on the cluster's other balancers" in told
    assert "VIP" in told


def test_the_lines_to_delete_are_named_with_file_and_line(tmp_path: Path) -> None:
    site = _site(tmp_path)
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/w1.yml").write_text("node_labels: {}\n")
    assert node_remove.lines_to_delete(site, ["w1"]) == [
        f"{site.path}:7: w1 ansible_host=10.0.0.11",
        str(tmp_path / "host_vars/w1.yml"),
    ]


def test_names_that_only_begin_alike_stay(tmp_path: Path) -> None:
    site = _site(tmp_path)
    site.path.write_text(site.path.read_text() + "# w1x\nw11 ansible_host=10.0.0.14\n    w1:\n")
    assert [line.split(":")[1] for line in node_remove.lines_to_delete(site, ["w1"])] == ["7", "16"]
