"""What a plan tells of the certificates of nodes that are to come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


class Cluster:
    """A cluster that knows w1, and what is asked of it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool = True) -> None:
        self.module = load("node_ready")
        self.asked: list[str] = []
        self.approver = root / "approver"
        monkeypatch.setattr(self.module, "ADMIN", str(root if there else root / "admin.conf"))
        monkeypatch.setattr(self.module, "nodes", lambda _server: {"w1": READY})
        monkeypatch.setattr(self.module, "certificate_missing", self.asked.append)

    def plan(self, run: ModuleRunner, *names: str) -> dict[str, Any]:
        given = [{"name": name, "address": f"at {name}"} for name in names]
        return run(self.module, nodes=given, address="10.0.0.9", approver=str(self.approver), check=True)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def test_a_node_that_is_to_come_will_be_given_one_and_is_not_asked(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    cluster.approver.touch()
    plan = cluster.plan(run, "w1", "w2")
    assert (plan["changed"], plan["approved"], cluster.asked) == (True, ["w2"], ["at w1"])


def test_a_node_that_has_one_needs_nothing(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    assert cluster.plan(run, "w1")["changed"] is False
    cluster.approver.touch()
    assert cluster.plan(run, "w1")["changed"] is False


def test_before_the_cluster_is_there_each_will_be_given_one(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch, there=False)
    plan = cluster.plan(run, "w1", "w2")
    assert (plan["changed"], plan["approved"], cluster.asked) == (True, ["w1", "w2"], [])
