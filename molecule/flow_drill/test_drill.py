"""What was injured is healed, and the report says how it went."""

from __future__ import annotations

from typing import Any

import pytest

from provision import state
from tests.e2e.site import provision
from tests.machines import Machines


@pytest.fixture
def run(machines: Machines) -> dict[str, Any]:
    """The record of the drill."""
    return next(each.as_dict() for each in state.History.of(machines.site.path).records() if each.workflow == "drill")


def test_the_report_says_that_all_went_well(run: dict[str, Any]) -> None:
    report = run["result"]["report"]
    assert (report["drill"], report["passed"], report["healthy"], report["changes"]) == ("worker", True, True, 0)
    assert report["rescheduled"] > 0


def test_it_is_there_to_read(machines: Machines, run: dict[str, Any]) -> None:
    place = state.History.of(machines.site.path).directory / "runs" / f"{run['number']:04}"
    assert "Passed: " in (place / "report.txt").read_text()
    assert "<svg" in (place / "report.html").read_text()


def test_the_cluster_is_healthy(machines: Machines) -> None:
    assert machines.ready_nodes("cp1") == {"cp1", "w1", "w2"}
    status = provision("status", "-i", machines.site.path)
    assert status.code == 0, status.text


def test_nothing_of_the_drill_is_left(machines: Machines, run: dict[str, Any]) -> None:
    namespaces = machines.kubectl("cp1", "get namespaces")["items"]
    left = [one["metadata"]["name"] for one in namespaces if one["status"]["phase"] != "Terminating"]
    assert not [name for name in left if "drill" in name]
    assert machines.run(run["result"]["target"], "ls -d /run/provision-fault* 2>/dev/null || true") == ""
