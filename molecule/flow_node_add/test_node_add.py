"""A worker that was taken out is a ready node again, as if it had never gone."""

from __future__ import annotations

from tests.e2e.site import provision
from tests.machines import Machines


def test_the_worker_is_ready(machines: Machines) -> None:
    nodes = machines.kubectl("cp1", "get nodes")["items"]
    ready = {
        node["metadata"]["name"]: condition["status"]
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    }
    assert ready == {"cp1": "True", "w1": "True", "w2": "True"}


def test_the_cluster_needs_nothing_more(machines: Machines) -> None:
    plan = provision("cluster", "--plan", "--exit-code", "-i", machines.site.path)
    assert plan.code == 0, plan.text
    assert plan.changes == []
