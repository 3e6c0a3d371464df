"""A node that leaves is forgotten with its address; of a dead host the Pods and volumes are given free before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from .module_runner import ModuleRunner, load

ADDRESSES = "/api/v1/namespaces/kube-system/configmaps/provision-nodes"
TAINT = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
GPU = {"key": "gpu", "effect": "NoSchedule"}


def pod(name: str, node: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"nodeName": node}}


class Cluster:
    """An API server with a control plane and two workers; `calls` is what changed it, in its order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module, self.calls = load("node_absent"), []  # type: tuple[Any, list[str]]
        self.objects: dict[str, dict[str, Any]] = {
            f"/api/v1/nodes/{name}": {"metadata": {"name": name}, "spec": {"taints": [GPU]}}
            for name in ("m1", "w1", "w2")
        }
        self.objects[ADDRESSES] = {"data": {"m1": "10.0.0.1", "w1": "10.0.0.2", "w2": "10.0.0.3"}}
        self.pods = [pod("a", "w1"), pod("b", "w2"), pod("c", "w1")]
        self.refused: dict[str, tuple[int, str]] = {}
        self.patched: list[dict[str, Any]] = []
        cluster = self

        class Client(self.module.KubeClient):  # type: ignore[name-defined,misc]  # its get and delete are the real ones
            def __init__(self, kubeconfig: str, timeout: int) -> None:
                assert kubeconfig == "/etc/kubernetes/admin.conf"

            def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
                assert self.address == ("10.0.0.1", 6443)
                return cluster.request(method, path, body)

        monkeypatch.setattr(self.module, "KubeClient", Client)
        monkeypatch.setattr(self.module, "kubectl", self.kubectl)

    def request(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """Answer as the API does."""
        if path in self.refused:
            raise self.module.ApiError(*self.refused[path])
        if method == "GET" and "?fieldSelector=" in path:
            node = unquote(path).removeprefix("/api/v1/pods?fieldSelector=spec.nodeName=")
            return {"items": [each for each in self.pods if each["spec"]["nodeName"] == node]}
        if method == "DELETE":
            self.calls.append(f"delete {path}")
        if "/pods/" in path:
            assert body is not None
            assert body["gracePeriodSeconds"] == 0
            self.pods = [each for each in self.pods if not path.endswith(f"/shop/pods/{each['metadata']['name']}")]
            return {}
        if path not in self.objects:
            raise self.module.ApiError(404, "HTTP 404: not found")
        return self.objects.pop(path) if method == "DELETE" else self.objects[path]

    def kubectl(self, *words: str, server: str) -> None:
        """Merge a patch into an object."""
        assert server == "10.0.0.1"
        if "kubectl" in self.refused:
            raise self.module.KubeadmError(self.refused["kubectl"][1])
        assert words[-4:-1] == ("--type", "merge", "-p")
        kind, name = words[words.index("patch") + 1 :][:2]
        self.calls.append(f"patch {kind} {name}")
        patch = json.loads(words[-1])
        self.patched.append(patch)
        if kind == "configmap":
            assert "-n kube-system " in f"{words[0]} {words[1]} "
            assert words[words.index("--field-manager") + 1] == "provision"
            data = self.objects[ADDRESSES]["data"] | patch["data"]
            self.objects[ADDRESSES]["data"] = {key: value for key, value in data.items() if value is not None}

    @property
    def nodes(self) -> list[str]:
        return sorted(Path(path).name for path in self.objects if "/nodes/" in path)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def forget(
    run: ModuleRunner, cluster: Cluster, *names: str, dead: tuple[str, ...] = (), check: bool = False
) -> dict[str, Any]:
    return run(cluster.module, check=check, nodes=list(names), dead=list(dead), address="10.0.0.1")


def test_nodes_and_their_addresses_go_once(run: ModuleRunner, cluster: Cluster) -> None:
    first = forget(run, cluster, "w2", "w1")
    assert (first["changed"], first["removed"]) == (True, ["w1", "w2"])
    assert (cluster.nodes, cluster.objects[ADDRESSES]["data"]) == (["m1"], {"m1": "10.0.0.1"})
    assert len(cluster.pods) == 3  # a living host ends its own
    before = list(cluster.calls)
    second = forget(run, cluster, "w2", "w1")
    assert (second["changed"], second["removed"], cluster.calls) == (False, [], before)


def test_a_dead_hosts_volumes_and_pods_are_given_free_before_it_is_forgotten(
    run: ModuleRunner, cluster: Cluster
) -> None:
    cluster.objects["/api/v1/nodes/w1"]["spec"]["taints"].append({**TAINT, "effect": "NoSchedule"})
    assert forget(run, cluster, "w1", "w2", dead=("w1",))["removed"] == ["w1", "w2"]
    assert cluster.patched[0] == {"spec": {"unschedulable": True, "taints": [GPU, TAINT]}}
    assert cluster.calls == [
        "patch node w1",
        "delete /api/v1/namespaces/shop/pods/a",
        "delete /api/v1/namespaces/shop/pods/c",
        "delete /api/v1/nodes/w1",
        "delete /api/v1/nodes/w2",
        "patch configmap provision-nodes",
    ]
    assert [each["metadata"]["name"] for each in cluster.pods] == ["b"]


def test_what_is_gone_in_between_is_well(run: ModuleRunner, cluster: Cluster) -> None:
    cluster.refused["/api/v1/namespaces/shop/pods/a"] = (404, "HTTP 404: not found")
    assert forget(run, cluster, "w1", dead=("w1",))["removed"] == ["w1"]
    assert (cluster.nodes, [each["metadata"]["name"] for each in cluster.pods]) == (["m1", "w2"], ["a", "b"])


def test_an_address_without_a_node_goes(run: ModuleRunner, cluster: Cluster) -> None:
    del cluster.objects["/api/v1/nodes/w1"]
    assert forget(run, cluster, "w1", dead=("w1",))["removed"] == ["w1"]
    assert cluster.calls == ["patch configmap provision-nodes"]


@pytest.mark.parametrize("addresses", [None, {}, {"data": None}], ids=["no map", "no data", "null"])
def test_a_node_without_an_address_goes(run: ModuleRunner, cluster: Cluster, addresses: dict[str, Any] | None) -> None:
    del cluster.objects[ADDRESSES]
    if addresses is not None:
        cluster.objects[ADDRESSES] = addresses
    assert forget(run, cluster, "w1")["removed"] == ["w1"]
    assert cluster.calls == ["delete /api/v1/nodes/w1"]


def test_check_mode_tells_and_touches_nothing(run: ModuleRunner, cluster: Cluster) -> None:
    result = forget(run, cluster, "w1", "unknown", dead=("w1",), check=True)
    assert (result["changed"], result["removed"]) == (True, ["w1"])
    assert (cluster.nodes, cluster.calls) == (["m1", "w1", "w2"], [])


@pytest.mark.parametrize(
    "path",
    ["/api/v1/nodes/w1", ADDRESSES, "/api/v1/namespaces/shop/pods/a", "kubectl"],
    ids=["node", "addresses", "pod", "kubectl"],
)
def test_a_refusal_ends_with_the_servers_words_and_the_node_stays(
    run: ModuleRunner, cluster: Cluster, path: str
) -> None:
    cluster.refused[path] = (403, "HTTP 403: not you")
    result = forget(run, cluster, "w1", dead=("w1",))
    assert (result["failed"], result["msg"]) == (True, "HTTP 403: not you")
    assert "w1" in cluster.nodes
    assert "w1" in cluster.objects[ADDRESSES]["data"]


def test_without_credentials_it_fails(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.module = load("node_absent")
    monkeypatch.setattr(cluster.module, "ADMIN", str(tmp_path / "missing.conf"))
    result = forget(run, cluster, "w1")
    assert result["failed"]
    assert "No such file or directory" in result["msg"]
    assert "missing.conf" in result["msg"]
