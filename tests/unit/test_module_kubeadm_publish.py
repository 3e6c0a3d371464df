"""What belongs to the cluster is published once for each change, and kube-proxy restarts only for its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .module_runner import Clock, ModuleRunner, load

# module_runner, imported above, leads Ansible to the project's own module_utils, which mypy does not see.
from ansible.module_utils import kubeadm  # isort: skip  # type: ignore[attr-defined]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


class Cluster:
    """A cluster whose ConfigMaps are dictionaries; kubeadm's phases may change the one of kube-proxy.

    Each look at kube-proxy finds it new on one node more.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = load("kubeadm_publish")
        self.proxy, self.notes = {"config.conf": "mode: nftables"}, {"other": "note"}
        self.after: dict[str, str] = {}
        self.said: list[str] = []
        self.new, self.nodes = 2, [True, True]
        monkeypatch.setattr(self.module, "ADMIN", str(root))
        monkeypatch.setattr(self.module, "config_map", self._config_map)
        monkeypatch.setattr(self.module, "api_get", self._daemon_set)
        monkeypatch.setattr(self.module, "nodes", self._nodes)
        monkeypatch.setattr(self.module, "run", self._kubeadm)
        monkeypatch.setattr(self.module, "kubectl", self._kubectl)
        monkeypatch.setattr(self.module, "write_private", lambda *_: "kubeadm.yaml")

    def _config_map(self, name: str, _address: str) -> tuple[dict[str, str], dict[str, str]]:
        return (dict(self.proxy), {}) if name == "kube-proxy" else ({}, self.notes)

    def _daemon_set(self, path: str, _address: str) -> dict[str, Any]:
        assert path == self.module.PROXY
        self.new += 1
        counts = {"updatedNumberScheduled": self.new - 1, "numberAvailable": sum(self.nodes)}
        counts["desiredNumberScheduled"] = len(self.nodes)
        return {"metadata": {"generation": 2}, "status": {"observedGeneration": min(self.new, 2), **counts}}

    def _nodes(self, _address: str) -> dict[str, Any]:
        return {
            f"w{number}": {"status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}
            for number, ready in enumerate(self.nodes)
        }

    def _kubeadm(self, *words: str) -> str:
        self.said.append(" ".join(words[3:5]))
        self.proxy.update(self.after)
        return "[bootstrap-token] Using token: a1b2c3.0123456789abcdef\n" if "bootstrap-token" in words else ""

    def _kubectl(self, *words: str, **_: Any) -> None:
        said = next(word for word in words if word in {"apply", "patch", "rollout", "annotate", "delete"})
        self.said.append(f"delete {words[-1]}" if said == "delete" else said)
        if "annotate" in words:
            self.notes.update([words[-1].split("=", 1)])


def refusing(answer: Callable[..., Any], *, times: int) -> Callable[..., Any]:
    """Answer like this after so many refusals."""
    left = iter(range(times))

    def get(*words: str) -> Any:
        if next(left, None) is not None:
            raise kubeadm.KubeadmError("the API server does not answer")
        return answer(*words)

    return get


def publish(run: ModuleRunner, cluster: Cluster, text: str = "a", **other: Any) -> dict[str, Any]:
    return run(cluster.module, config="x", cluster_config=text, manifest="m", address="10.0.0.1", **other)


def test_a_change_is_published_once(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    assert publish(run, cluster, check=True)["changed"]
    assert cluster.said == []
    assert publish(run, cluster)["changed"]
    token = ["bootstrap-token --config", "delete secret/bootstrap-token-a1b2c3"]
    assert cluster.said == ["upload-config all", *token, "addon kube-proxy", "apply", "patch", "annotate"]
    assert not publish(run, cluster)["changed"]
    assert publish(run, cluster, "b", check=True)["changed"]


def test_kube_proxy_restarts_for_its_own_settings(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    cluster.after = {"config.conf": "mode: iptables"}
    publish(run, cluster)
    assert "rollout" in cluster.said


def test_kube_proxy_runs_everywhere_before_it_counts_as_published(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    clock = Clock(monkeypatch, kubeadm)
    # The third node is away, so nothing starts there.
    cluster.new, cluster.nodes = 0, [True, True, False]
    assert publish(run, cluster)["changed"]
    assert clock.slept == pytest.approx(0.4)

    cluster.new = -100
    failed = publish(run, cluster, "b", timeout=3)
    assert "the controller manager has not looked" in failed["msg"]
    assert publish(run, cluster, "b", check=True)["changed"], "what was not waited for is not published"


def test_an_api_server_that_starts_anew_is_waited_for(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    Clock(monkeypatch, kubeadm)
    monkeypatch.setattr(cluster.module, "api_get", refusing(cluster.module.api_get, times=2))
    assert publish(run, cluster)["changed"]
    monkeypatch.setattr(cluster.module, "api_get", refusing(cluster.module.api_get, times=1000))
    assert "after 3 s the API server does not answer" in publish(run, cluster, "b", timeout=3)["msg"]


def test_in_a_new_cluster_no_kube_proxy_is_waited_for(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    cluster.proxy, cluster.new = {}, -100
    assert publish(run, cluster)["changed"]
    assert "patch" not in cluster.said


def test_before_the_cluster_all_of_it_is_to_be_published(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(tmp_path, monkeypatch)
    monkeypatch.setattr(cluster.module, "ADMIN", str(tmp_path / "missing"))
    assert publish(run, cluster, check=True)["changed"]
