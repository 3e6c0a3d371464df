"""Nodes are done when they are ready and serve with a certificate of the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .module_runner import Clock, ModuleRunner, load

# module_runner, imported above, leads Ansible to the project's own module_utils, which mypy does not see.
from ansible.module_utils import kubeadm  # isort: skip  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, kubeadm)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def test_endpoints_hold_a_port() -> None:
    module = load("node_ready")
    assert [module.endpoint(a) for a in ("10.0.0.1", "api:8443", "fd00::1")] == [
        "10.0.0.1:6443",
        "api:8443",
        "[fd00::1]:6443",
    ]


POD = {"metadata": {"name": "web"}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}}


def mirror(identity: str, ready: str = "True") -> dict[str, Any]:
    """A static pod as the API shows it."""
    notes = {"kubernetes.io/config.mirror": identity, "kubernetes.io/config.hash": identity}
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": "kube-apiserver-w1", "annotations": notes}, "status": status}


class Cluster:
    """Two nodes whose certificates come once they are approved."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, *, ready: str = "True") -> None:
        self.module = load("node_ready")
        self.certified, self.dry = False, []
        self.refuses = False
        condition = {"type": "Ready", "status": ready, "message": "no network"}
        node = {"status": {"conditions": [condition], "nodeInfo": {"kubeletVersion": "v1.36.3"}}}
        monkeypatch.setattr(self.module, "ADMIN", str(root))
        monkeypatch.setattr(self.module, "certificate_missing", lambda _a: None if self.certified else "without one")
        monkeypatch.setattr(self.module, "nodes", lambda _server: {"w1": node, "w2": node})
        monkeypatch.setattr(self.module, "run", self._approver)
        self.wanted, self.mirrors = "a", [mirror("a")]
        monkeypatch.setattr(self.module, "api_get", self._get)

    def _get(self, path: str, _server: str) -> dict[str, Any]:
        notes = {"kubernetes.io/config.source": "file", "kubernetes.io/config.hash": self.wanted}
        own = {"metadata": {"name": "kube-apiserver-w1", "annotations": notes}}
        return {"items": [own]} if path.endswith("/proxy/pods") else {"items": [*self.mirrors, POD]}

    def _approver(self, *words: str) -> str:
        self.dry.append("--dry-run" in words)
        if self.refuses:
            return '{"approved": [], "refused": {"csr-2": "it asks for api"}}'
        self.certified = self.certified or "--dry-run" not in words
        return '{"approved": ["csr-1"], "refused": {}}'


def wait(run: ModuleRunner, cluster: Cluster, root: Path, **other: Any) -> dict[str, Any]:
    nodes = [{"name": name, "address": "10.0.0.1"} for name in ("w1", "w2")]
    return run(cluster.module, nodes=nodes, address="10.0.0.9", approver=str(root), timeout=1, **other)


def test_certificates_are_approved_and_then_it_is_quiet(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    planned = wait(run, cluster, tmp_path, check=True)
    assert (planned["changed"], planned["approved"], cluster.dry) == (True, ["csr-1"], [True])
    assert wait(run, cluster, tmp_path)["approved"] == ["csr-1"]
    again = wait(run, cluster, tmp_path)
    assert (again["changed"], again["approved"], cluster.dry) == (False, [], [True, False])


def test_nodes_with_the_same_trouble_are_named_together(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    cluster = Cluster(tmp_path, monkeypatch, ready="False")
    assert "w1, w2 not ready: no network" in wait(run, cluster, tmp_path)["msg"]
    assert clock.slept == 1, "all the time that there is, and no more"


def test_a_refused_request_is_named(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    cluster.refuses = True
    assert "csr-2 was not approved: it asks for api" in wait(run, cluster, tmp_path)["msg"]


def test_a_version_is_waited_for_also_while_the_api_server_is_away(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    cluster.certified = True
    assert "w1, w2 still reports v1.36.3" in wait(run, cluster, tmp_path, version="1.36.4")["msg"]
    answers = iter([cluster.module.KubeadmError("the API server does not answer")])
    found = cluster.module.nodes

    def restarting(server: str) -> Any:
        for error in answers:
            raise error
        return found(server)

    monkeypatch.setattr(cluster.module, "nodes", restarting)
    assert not wait(run, cluster, tmp_path, version="1.36.3").get("failed")


@pytest.mark.parametrize("shown", [[mirror("b")], [mirror("a", "False")], []])
def test_a_new_kubelet_has_started_its_static_pods_again(
    shown: list[dict[str, Any]], run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    cluster.certified, cluster.mirrors = True, shown
    said = wait(run, cluster, tmp_path, version="1.36.3")
    assert "w1, w2 starts its static pods again: kube-apiserver-w1" in said["msg"]
    assert not wait(run, cluster, tmp_path).get("failed"), "no version changes"
