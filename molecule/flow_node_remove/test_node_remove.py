"""A removed worker is no node any more, and nothing of the cluster is left on its machine."""

from __future__ import annotations

from tests.e2e.site import provision
from tests.machines import Machines


def test_the_others_are_left(machines: Machines) -> None:
    nodes = machines.kubectl("cp1", "get nodes")["items"]
    assert {node["metadata"]["name"] for node in nodes} == {"cp1", "w1"}


def test_a_second_time_there_is_nothing_to_do(machines: Machines) -> None:
    plan = provision("node", "remove", "w2", "--plan", "--exit-code", "-i", machines.site.path)
    assert plan.code == 0, plan.text
    assert plan.changes == []
