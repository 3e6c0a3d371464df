"""A worker that was taken out is a ready node again, as if it had never gone."""

from __future__ import annotations

from tests.e2e.site import provision
from tests.machines import Machines


def test_the_worker_is_ready(machines: Machines) -> None:
    assert machines.ready_nodes("cp1") == {"cp1", "w1", "w2"}


def test_the_cluster_needs_nothing_more(machines: Machines) -> None:
    plan = provision("cluster", "--plan", "--exit-code", "-i", machines.site.path)
    assert plan.code == 0, plan.text
    assert plan.changes == []
