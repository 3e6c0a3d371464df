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
