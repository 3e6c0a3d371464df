"""Labels and taints: only what the site once set is ever taken away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

settings = load("node_settings")
CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def node(
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
    managed: dict[str, list[str]] | None = None,
) -> dict[str, Any]:
    annotations = {settings.NOTE: json.dumps(managed)} if managed else {}
    meta = {
        "name": "w1",
        "labels": {"kubernetes.io/os": "linux", **(labels or {})},
        "annotations": annotations,
        "resourceVersion": "7",
    }
    return {"metadata": meta, "spec": {"taints": taints} if taints else {}}


def wanted(labels: dict[str, Any] | None = None, taints: list[dict[str, str]] | None = None) -> dict[str, Any]:
    return {"name": "w1", "address": "10.0.0.1", "labels": labels or {}, "taints": taints or []}


def after(found: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The node as the API server has it after a merge patch."""
    meta = found["metadata"]
    merged = {
        key: value
        for key, value in {**meta["labels"], **patch["metadata"].get("labels", {})}.items()
        if value is not None
    }
    notes = {**meta["annotations"], **patch["metadata"].get("annotations", {})}
    kept = {key: value for key, value in notes.items() if value is not None}
    return {
        "metadata": {**meta, "labels": merged, "annotations": kept},
        "spec": {**found["spec"], **patch.get("spec", {})},
    }


def test_a_node_without_wishes_is_left_alone() -> None:
    assert settings.difference(node(taints=[CONTROL_PLANE]), wanted()) is None


def test_what_is_set_is_noted_and_then_quiet() -> None:
    found = node(taints=[CONTROL_PLANE])
    patch = settings.difference(found, wanted({"disk": "ssd", "rank": 1}, [GPU]))
    assert patch["metadata"]["labels"] == {"disk": "ssd", "rank": "1"}
    assert patch["spec"]["taints"] == [CONTROL_PLANE, GPU]
    assert patch["metadata"]["resourceVersion"] == "7"
    assert settings.difference(after(found, patch), wanted({"disk": "ssd", "rank": 1}, [GPU])) is None


def test_what_is_no_longer_wanted_goes_and_the_rest_stays() -> None:
    found = node({"disk": "ssd", "own": "x"}, [CONTROL_PLANE, GPU], {"labels": ["disk"], "taints": ["gpu:NoSchedule"]})
    patch = settings.difference(found, wanted())
    assert patch["metadata"]["labels"] == {"disk": None}
    assert patch["spec"]["taints"] == [CONTROL_PLANE]
    assert settings.difference(after(found, patch), wanted()) is None


def test_a_changed_value_replaces_the_taint() -> None:
    found = node(taints=[GPU], managed={"taints": ["gpu:NoSchedule"]})
    patch = settings.difference(found, wanted(taints=[{**GPU, "value": "a100"}]))
    assert patch["spec"]["taints"] == [{**GPU, "value": "a100"}]
    assert "annotations" not in patch["metadata"]


def test_a_label_patch_needs_no_version() -> None:
    patch = settings.difference(node(), wanted({"a": "b"}))
    assert "resourceVersion" not in patch["metadata"]


def test_the_diff_shows_what_changes_and_no_more() -> None:
    found = node({"disk": "ssd"}, [CONTROL_PLANE, GPU], {"labels": ["disk"], "taints": ["gpu:NoSchedule"]})
    shown = settings.shown(found, settings.difference(found, wanted({"rack": "r1"})))
    assert shown["before"].splitlines()[0] == "label disk=ssd"
    assert shown["after"] == "label rack=r1\ntaint node-role.kubernetes.io/control-plane=:NoSchedule\n"


class Cluster:
    """A cluster that keeps what it is told of nodes and of their addresses."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, *names: str, there: bool = True) -> None:
        self.nodes = {name: {**node(), "metadata": {**node()["metadata"], "name": name}} for name in names}
        self.record: dict[str, str] = {}
        monkeypatch.setattr(settings, "ADMIN", str(root if there else root / "admin.conf"))
        monkeypatch.setattr(settings, "nodes", lambda _server: dict(self.nodes))
        monkeypatch.setattr(settings, "config_map", lambda _name, _server: (dict(self.record), {}))
        monkeypatch.setattr(settings, "kubectl", self._kubectl)

    def _kubectl(self, *words: str, data: str = "", **_: Any) -> None:
        if words[0] == "patch":
            self.nodes[words[2]] = after(self.nodes[words[2]], json.loads(data))
        elif words[0] == "apply":
            self.record = json.loads(data)["data"]


def put(run: ModuleRunner, *wishes: dict[str, Any], **other: Any) -> dict[str, Any]:
    return run(settings, nodes=list(wishes), address="10.0.0.9", timeout=0, **other)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


@pytest.mark.parametrize("wish", [wanted(), wanted({"disk": "ssd"}, [GPU])], ids=["plain", "labelled"])
def test_a_plan_tells_of_a_node_that_is_to_come_what_the_run_does(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: dict[str, Any]
) -> None:
    cluster = Cluster(tmp_path, monkeypatch, "cp1")
    cluster.record = {"cp1": "10.0.0.9"}
    plan = put(run, wish, check=True)
    assert (plan["changed"], plan["nodes"], cluster.record) == (True, ["w1"], {"cp1": "10.0.0.9"})
    assert plan["diff"][-1]["after"] == "w1 10.0.0.1\n"
    cluster.nodes["w1"] = node()
    done = put(run, wish)
    assert {key: done[key] for key in ("changed", "nodes")} == {key: plan[key] for key in ("changed", "nodes")}
    assert [part["after"] for part in done["diff"]] == [part["after"] for part in plan["diff"]]
    assert cluster.record == {"cp1": "10.0.0.9", "w1": "10.0.0.1"}
    assert [put(run, wish, check=check)["changed"] for check in (True, False)] == [False, False]


def test_before_the_cluster_is_there_every_address_is_to_be_noted(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cluster(tmp_path, monkeypatch, there=False)
    plan = put(run, wanted(), {**wanted(), "name": "w2"}, check=True)
    assert (plan["changed"], plan["nodes"]) == (True, ["w1", "w2"])


def test_a_node_that_does_not_come_is_named(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cluster(tmp_path, monkeypatch, "cp1")
    assert put(run, wanted())["msg"] == "not registered: w1"


def test_another_address_is_shown_with_the_one_before() -> None:
    shown = settings.recorded({"w1": "10.0.0.1", "w2": "10.0.0.2"}, {"w1": "10.0.0.7", "w3": "10.0.0.3"})
    assert (shown["before"], shown["after"]) == ("w1 10.0.0.1\n", "w1 10.0.0.7\nw3 10.0.0.3\n")
