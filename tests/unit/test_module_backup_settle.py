"""A restored cluster forgets the nodes that are gone, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, Tools, load

DELETE = "kubectl --kubeconfig {} --server https://10.0.0.1:6443 --request-timeout 20s delete node {}"


class Cluster:
    """An API server that knows some nodes; kubectl, a stand-in, takes them away."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module, self.tools, self.registry = load("backup_settle"), Tools(folder, monkeypatch), folder / "nodes"
        self.registry.mkdir()
        for name in ("m1", "m2", "w1", "w2"):
            (self.registry / name).touch()
        # The words after `node`, which are the last ones, are the names.
        self.tools.add("kubectl", f'while [ "$1" != node ]; do shift; done; shift; cd {self.registry} && rm "$@"')
        self.admin = folder / "admin.conf"
        self.admin.touch()
        monkeypatch.setattr(self.module, "ADMIN", str(self.admin))
        monkeypatch.setattr(self.module, "nodes", self.nodes)

    def nodes(self, server: str) -> dict[str, Any]:
        assert server == "10.0.0.1"
        return {name: {} for name in self.names}

    @property
    def names(self) -> list[str]:
        return sorted(file.name for file in self.registry.iterdir())


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(tmp_path, monkeypatch)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def settle(run: ModuleRunner, cluster: Cluster, *living: str, check: bool = False) -> dict[str, Any]:
    return run(cluster.module, check=check, nodes=list(living), address="10.0.0.1")


def test_those_that_are_gone_go_once(run: ModuleRunner, cluster: Cluster) -> None:
    first, second = settle(run, cluster, "m1", "w1", "new"), settle(run, cluster, "m1", "w1", "new")
    assert (first["changed"], first["removed"]) == (True, ["m2", "w2"])
    assert (second["changed"], second["removed"]) == (False, [])
    assert cluster.names == ["m1", "w1"]
    assert cluster.tools.calls() == [DELETE.format("/etc/kubernetes/admin.conf", "m2 w2")]


def test_check_mode_tells_and_touches_nothing(run: ModuleRunner, cluster: Cluster) -> None:
    result = settle(run, cluster, "m1", "m2", "w1", check=True)
    assert (result["changed"], result["removed"]) == (True, ["w2"])
    assert (cluster.names, cluster.tools.calls()) == (["m1", "m2", "w1", "w2"], [])


def test_check_mode_asks_nobody_before_there_is_a_cluster(run: ModuleRunner, cluster: Cluster) -> None:
    cluster.admin.unlink()
    result = settle(run, cluster, "m1", check=True)
    assert (result["changed"], result["removed"]) == (False, [])


def test_without_a_cluster_it_fails(
    run: ModuleRunner, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster.admin.unlink()
    real = load("backup_settle").nodes
    monkeypatch.setattr(cluster.module, "nodes", real)
    monkeypatch.setitem(real.__globals__, "ADMIN", str(tmp_path / "missing.conf"))
    result = settle(run, cluster, "m1")
    assert result["failed"]
    assert result["msg"].startswith("the API server does not answer: ")
    assert "missing.conf" in result["msg"]


def test_a_refused_deletion_ends_with_kubectls_words(run: ModuleRunner, cluster: Cluster) -> None:
    cluster.tools.add("kubectl", "echo 'Error from server (Forbidden): not you' >&2; exit 1")
    result = settle(run, cluster, "m1", "m2", "w1")
    assert result["failed"]
    assert result["msg"].endswith("ended with 1: Error from server (Forbidden): not you")
    assert cluster.names == ["m1", "m2", "w1", "w2"]
