"""A drain takes away what may go, respects budgets, says what blocks it, and uncordons only what it cordoned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .module_runner import Clock, ModuleRunner, load

# module_runner, imported above, leads Ansible to the project's own module_utils, which mypy does not see.
from ansible.module_utils import kubeadm  # isort: skip  # type: ignore[attr-defined]

BUDGET = "The disruption budget web needs 2 healthy pods and has 2 currently"


def pod(name: str, kind: str = "ReplicaSet", **more: Any) -> dict[str, Any]:
    owners = [{"kind": kind, "controller": True}] if kind else []
    meta = {"name": name, "namespace": "shop", "uid": name, "ownerReferences": owners, **more.pop("metadata", {})}
    return {"metadata": meta, "spec": {"volumes": []}, "status": {"phase": "Running"}, **more}


STATIC = pod("static", "Node", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})
SCRATCH = pod("scratch", spec={"volumes": [{"name": "s", "emptyDir": {}}]})


class Cluster:
    """An API with one node: evicted pods are gone at the next look, unless a budget holds them or the node is dead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, admin: Path, *pods: dict[str, Any], ready: bool = True) -> None:
        self.module = load("node_drain")
        self.pods, self.ready = list(pods), ready
        self.held: dict[str, int] = {}
        self.unled = 0
        self.renewed = 0
        self.node: dict[str, Any] | None = {
            "metadata": {"name": "w1", "annotations": {}},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]},
        }
        admin.write_text("")
        monkeypatch.setattr(self.module, "ADMIN", str(admin))
        monkeypatch.setattr(self.module, "KubeClient", lambda *_a, **_k: self)
        monkeypatch.setattr(self.module, "kubectl", lambda *words, **_k: self.patch(json.loads(words[-1])))

    def hold(self, name: str, looks: int) -> None:
        """Let a budget refuse the eviction of a pod so many times."""
        self.held[name] = looks

    def get(self, path: str) -> dict[str, Any]:
        if "fieldSelector" in path:
            assert path.endswith("spec.nodeName%3Dw1")
            return {"items": list(self.pods)}
        if path == self.module.LEASE:
            self.lead()
            return {"spec": {"renewTime": str(self.renewed)}}
        if self.node is None:
            raise self.module.ApiError(404, "HTTP 404: no such node")
        return self.node

    def lead(self) -> None:
        """What a controller manager does meanwhile, once one leads."""
        assert self.node is not None
        if self.unled > 0:
            self.unled -= 1
            return
        self.renewed += 1
        if "unschedulable" in self.node["spec"]:
            self.node["spec"]["taints"] = [{"key": "node.kubernetes.io/unschedulable"}]

    def create(self, path: str, body: dict[str, Any]) -> None:
        name = body["metadata"]["name"]
        assert path == f"/api/v1/namespaces/shop/pods/{name}/eviction"
        assert body["deleteOptions"]["preconditions"]["uid"] == name
        if self.held.get(name, 0) > 0:
            self.held[name] -= 1
            raise self.module.ApiError(429, "HTTP 429: Cannot evict pod", [BUDGET])
        found = next(each for each in self.pods if each["metadata"]["name"] == name)
        if self.ready:
            self.pods.remove(found)
        else:
            found["metadata"]["deletionTimestamp"] = "now"

    def patch(self, patch: dict[str, Any]) -> None:
        assert self.node is not None
        for place, part in (("annotations", patch["metadata"]["annotations"]), ("", patch["spec"])):
            into = self.node["metadata"]["annotations"] if place else self.node["spec"]
            into.update(part)
            for key in [key for key, value in part.items() if value is None]:
                del into[key]

    @property
    def names(self) -> list[str]:
        return [each["metadata"]["name"] for each in self.pods]

    @property
    def closed(self) -> tuple[bool, bool]:
        """Whether the node takes no new pods, and whether that is noted as ours."""
        assert self.node is not None
        return "unschedulable" in self.node["spec"], self.module.NOTE in self.node["metadata"]["annotations"]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, kubeadm)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def call(run: ModuleRunner, cluster: Cluster, *, check: bool = False, **options: Any) -> dict[str, Any]:
    return run(cluster.module, check=check, node="w1", address="10.0.0.1", **options)


def test_pods_leave_and_those_of_the_node_itself_stay(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a", pod("web"), pod("log", "DaemonSet"), STATIC)
    result = call(run, cluster)
    assert (result["changed"], result["evicted"]) == (True, ["shop/web"])
    assert cluster.names == ["log", "static"]
    assert cluster.closed == (True, True)
    again = call(run, cluster)
    assert (again["changed"], again["evicted"]) == (False, [])


def test_no_pod_leaves_before_a_controller_manager_leads(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: Clock
) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a", pod("web"))
    cluster.unled = 4
    assert call(run, cluster, timeout=5)["evicted"] == ["shop/web"]
    assert (cluster.unled, clock.slept) == (0, 2.5)


def test_without_a_controller_manager_nothing_is_touched(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a", pod("web"))
    cluster.unled = 99
    result = call(run, cluster, timeout=1)
    assert "no controller manager leads" in result["msg"]
    assert (cluster.names, cluster.closed) == (["web"], (False, False))


def test_a_budget_is_waited_for(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a", pod("web"))
    cluster.hold("web", 2)
    assert call(run, cluster, timeout=5)["evicted"] == ["shop/web"]


def test_what_blocks_is_named_and_the_node_is_given_back(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: Clock
) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a", pod("web"), pod("job"))
    cluster.hold("web", 99)
    result = call(run, cluster, timeout=1)
    assert result["failed"]
    assert clock.slept == 1, "all the time that there is, and no more"
    assert result["blocked"] == [{"pod": "shop/web", "reason": BUDGET}]
    assert "web needs 2 healthy pods" in result["msg"]
    assert cluster.closed == (False, False)


def test_a_node_that_was_cordoned_before_a_failed_drain_stays_so(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a", pod("web"))
    cluster.hold("web", 99)
    assert call(run, cluster, state="cordoned")["changed"]
    assert call(run, cluster, timeout=0)["failed"]
    assert cluster.closed == (True, True)


@pytest.mark.parametrize(
    ("lost", "option"), [(pod("alone", ""), "force"), (SCRATCH, "delete_emptydir")], ids=["alone", "emptydir"]
)
def test_what_would_be_lost_is_refused_before_anything_is_touched(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lost: dict[str, Any], option: str
) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a", pod("web"), lost)
    result = call(run, cluster)
    assert [each["pod"] for each in result["blocked"]] == [f"shop/{lost['metadata']['name']}"]
    assert (cluster.names, cluster.closed) == (["web", lost["metadata"]["name"]], (False, False))
    assert not call(run, cluster, **{option: True}).get("failed")
    assert cluster.names == []


def test_pods_that_ended_lose_nothing(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a", pod("done", "", status={"phase": "Succeeded"}))
    assert call(run, cluster)["evicted"] == ["shop/done"]


def test_pods_of_a_dead_node_are_not_waited_for(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a", pod("web"), ready=False)
    assert call(run, cluster, timeout=2)["evicted"] == ["shop/web"]
    assert cluster.names == ["web"]


def test_pods_that_do_not_end_are_told(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stuck = pod("stuck", metadata={"deletionTimestamp": "before"})
    result = call(run, Cluster(monkeypatch, tmp_path / "a", stuck), timeout=0)
    assert result["blocked"] == [{"pod": "shop/stuck", "reason": "does not end"}]


def test_only_our_own_cordon_is_taken_back(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a")
    assert cluster.node is not None
    cluster.node["spec"]["unschedulable"] = True
    call(run, cluster)
    assert not call(run, cluster, state="uncordoned")["changed"]
    assert cluster.closed == (True, False)
    del cluster.node["spec"]["unschedulable"]
    call(run, cluster, state="cordoned")
    assert call(run, cluster, state="uncordoned")["changed"]
    assert cluster.closed == (False, False)


def test_check_mode_tells_and_touches_nothing(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a", pod("web"))
    result = call(run, cluster, check=True)
    assert (result["changed"], result["evicted"]) == (True, ["shop/web"])
    assert (cluster.names, cluster.closed) == (["web"], (False, False))


def test_a_node_that_is_gone_is_well(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster = Cluster(monkeypatch, tmp_path / "a")
    cluster.node = None
    assert not call(run, cluster)["changed"]
