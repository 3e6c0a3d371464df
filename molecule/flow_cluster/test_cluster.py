"""The site is one cluster, and there is nothing more to do."""

from __future__ import annotations

from tests.e2e.site import provision
from tests.machines import Machines


def test_every_machine_is_a_ready_node(machines: Machines) -> None:
    assert machines.ready_nodes("cp1") == {"cp1", "w1"}


def test_the_plan_is_empty(machines: Machines) -> None:
    plan = provision("cluster", "--plan", "--exit-code", "-i", machines.site.path)
    assert plan.code == 0, plan.text
    assert plan.changes == []


def test_the_status_has_read_every_machine(machines: Machines) -> None:
    status = provision("status", "-i", machines.site.path)
    assert status.code == 0, status.text
    assert {entry["host"] for entry in status.document["certificates"]} == {"cp1", "w1"}
    assert status.document["etcd"]["leader"] == "cp1"


def test_a_unit_that_somebody_stopped_is_named(machines: Machines) -> None:
    machines.run("cp1", "systemctl stop provision-csr-approver.timer")
    try:
        status = provision("status", "-i", machines.site.path)
    finally:
        machines.run("cp1", "systemctl start provision-csr-approver.timer")
    assert status.code == 7, status.text
    assert "provision-csr-approver.timer on cp1 is inactive" in str(status.document["problems"])
