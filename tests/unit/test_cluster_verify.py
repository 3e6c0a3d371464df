"""The verification finds what is wrong and names the node; and it always leaves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .module_runner import Clock, ModuleRunner, load

verify = load("cluster_verify")
checks, pods = verify.cluster_checks, verify.probe_pods
NODES = ["m1", "m2", "w1"]


def node(name: str, ready: str = "True", message: str = "") -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "message": message}
    return {"metadata": {"name": name}, "status": {"conditions": [condition]}}


def pod(name: str, phase: str = "Running", **status: Any) -> dict[str, Any]:
    address = {"podIP": f"10.244.0.{len(name)}"} if phase == "Running" else {}
    return {"spec": {"nodeName": name}, "status": {"phase": phase, **address, **status}}


def static_pod(component: str, node: str, ready: str = "True") -> dict[str, Any]:
    return {
        "metadata": {"name": f"{component}-{node}", "labels": {"component": component}},
        "spec": {"nodeName": node, "containers": [{"image": f"registry.k8s.io/{component}:v1.36.4"}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


class Api:
    """An API that keeps what is created, with pods that appear by themselves."""

    address = ("api.cluster.local", 8443)

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.created: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.nodes = [node(name) for name in NODES]
        self.pods = [pod(name) for name in NODES]
        self.static_pods = [static_pod("kube-scheduler", name) for name in NODES[:2]]
        self.dead = False
        self.dns, self.dns_on = 2, ["m1", "dead"]

    def create(self, path: str, body: dict[str, Any]) -> None:
        if self.dead:
            raise OSError("api.cluster.local:8443: connection refused")
        self.objects[f"{path}/{body['metadata']['name']}"] = body
        self.created[f"{path}/{body['metadata']['name']}"] = body

    def get(self, path: str) -> Any:
        if self.dead:
            raise OSError("api.cluster.local:8443: connection refused")
        lists: dict[str, Any] = {"nodes": self.nodes, "pods": self.pods, "events": []}
        kind = path.split("?", 1)[0].rsplit("/", 1)[-1]
        if kind == "namespaces":
            made = [
                body for at, body in self.objects.items() if at.startswith("/api/v1/namespaces/") and at.count("/") == 4
            ]
            return {"items": [{**body, "status": {"phase": "Active"}} for body in made]}
        if kind == "coredns":
            counts = {"updatedReplicas": 2, "availableReplicas": self.dns, "replicas": 2}
            spec = {"replicas": 2, "selector": {"matchLabels": {"k8s-app": "kube-dns"}}}
            return {"metadata": {"generation": 1}, "spec": spec, "status": {"observedGeneration": 1, **counts}}
        if path.endswith("/namespaces/kube-system/pods?labelSelector=tier%3Dcontrol-plane"):
            return {"items": self.static_pods}
        if path.endswith("/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-dns"):
            return {"items": [pod(name) for name in self.dns_on]}
        return {"items": lists[kind]} if kind in lists else self.objects.get(path, {})

    def delete(self, path: str) -> None:
        if self.dead:
            raise OSError("api.cluster.local:8443: connection refused")
        self.deleted.append(path)
        self.objects = {at: body for at, body in self.objects.items() if path.rsplit("/", 1)[-1] not in at}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, verify, checks)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Api:
    """A healthy cluster; each test breaks a part of it."""
    made = Api()
    monkeypatch.setattr(verify, "KubeClient", lambda _path: made)
    monkeypatch.setattr(verify, "PASSED", str(tmp_path / "verified"))
    monkeypatch.setattr(checks, "etcd_health", lambda _address: True)
    monkeypatch.setattr(checks, "resolve", lambda *_words: True)
    monkeypatch.setattr(pods, "dial", lambda *_words: "probe-x")
    return made


@pytest.fixture
def run(api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    runner = ModuleRunner(monkeypatch, capsys)

    def call(check: bool = False, **options: Any) -> dict[str, Any]:
        settings = {
            "nodes": NODES, "image": "agnhost",
            "etcd_members": [{"name": name, "address": f"10.77.0.1{name[1]}"} for name in ("m1", "m2")],
            "dns_address": "10.96.0.10", "timeout": 1, **options,
        }  # fmt: skip
        return runner(verify, check=check, **settings)

    return call


def test_a_healthy_cluster_passes_and_nothing_stays(api: Api, run: Any) -> None:
    result = run()

    assert not result.get("failed")
    assert result["changed"] is False
    names = [check["name"] for check in result["provision_verify"]["checks"]]
    assert names == ["api", "nodes", "control plane", "etcd", "dns", "pods", "service", "pod network"]
    assert all(check["ok"] for check in result["provision_verify"]["checks"])
    assert api.objects == {}


@pytest.mark.parametrize(
    ("available", "on", "passes"),
    [
        (1, ["m1", "dead"], True),  # the other one is on a node that nobody waits for
        (1, ["m1", "m2"], False),
        (0, ["dead", "dead"], False),
    ],
)
def test_dns_pods_on_nodes_that_are_passed_over_may_be_lost(
    api: Api, run: Any, available: int, on: list[str], passes: bool
) -> None:
    api.dns, api.dns_on = available, on

    result = run()

    assert bool(result.get("failed")) is not passes
    if not passes:
        assert f"coredns: 2 wanted, 2 new, {available} available" in result["msg"]


def test_the_pods_meet_the_strictest_standard() -> None:
    spec = pods.daemon_set("agnhost")["spec"]["template"]["spec"]
    context = spec["containers"][0]["securityContext"]

    assert pods.namespace("x")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_a_node_that_is_missing_or_ill_is_named(api: Api, run: Any, clock: Clock) -> None:
    api.nodes = [node("m1"), node("m2", "False", "container runtime is down")]

    result = run()

    assert 0.5 < clock.slept <= 1, "the time that there is, and no more"
    assert result["failed"]
    assert "m2 is not ready: container runtime is down" in result["msg"]
    assert "w1 is no node of the cluster" in result["msg"]
    assert api.objects == {}


@pytest.mark.parametrize("quick", [True, False])
def test_a_part_of_the_control_plane_that_is_not_ready_is_named(api: Api, run: Any, quick: bool) -> None:
    run()
    api.static_pods.append(static_pod("kube-controller-manager", "m2", "False"))

    assert "control plane: kube-controller-manager on m2 is not ready" in run(quick=quick)["msg"]


def test_the_control_plane_of_nodes_that_are_passed_over_may_be_ill(api: Api, run: Any) -> None:
    api.static_pods.append(static_pod("kube-scheduler", "dead", "False"))

    assert not run().get("failed")


def test_a_pod_that_does_not_run_is_told_in_its_own_words(api: Api, run: Any) -> None:
    waiting = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    api.pods = [pod("m1"), pod("m2"), pod("w1", "Pending", containerStatuses=[waiting])]

    result = run()

    assert "pods: w1: ErrImagePull: not found" in result["msg"]
    assert "service" not in [check["name"] for check in result["provision_verify"]["checks"]]


def _places(api: Api) -> list[str] | None:
    """The nodes that the pods were meant for; None: all of them."""
    made = next(body for at, body in api.created.items() if "daemonsets" in at)
    affinity = made["spec"]["template"]["spec"].get("affinity")
    if affinity is None:
        return None
    terms = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return [term["matchFields"][0]["values"][0] for term in terms]


def test_a_new_node_is_tried_with_its_neighbour_alone(api: Api, run: Any) -> None:
    api.pods = [pod("m1"), pod("w1")]

    result = run(nodes=["w1"], neighbour="m1", dns_address="")

    assert not result.get("failed"), result
    assert _places(api) == ["w1", "m1"]
    paths = next(check for check in result["provision_verify"]["checks"] if check["name"] == "pod network")
    assert paths["detail"].startswith("2 paths between pods of 2 nodes")


def test_a_neighbour_that_is_ill_is_not_asked(api: Api, run: Any) -> None:
    api.nodes, api.pods = [node("m1", "False", "its kubelet stopped"), node("w1")], [pod("w1")]

    assert not run(nodes=["w1"], neighbour="m1", dns_address="").get("failed")
    assert _places(api) == ["w1"]


def test_a_whole_cluster_has_a_pod_everywhere(api: Api, run: Any) -> None:
    run()

    assert _places(api) is None


def test_a_broken_path_names_both_ends(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def dial(address: str, host: str, port: int) -> str:
        if address == "10.244.0.2" and host == address and port == pods.PORT:
            raise checks.Unmet("no route to host")
        return "probe-x"

    monkeypatch.setattr(pods, "dial", dial)

    result = run(timeout=0)

    assert "pod network: m1 to m2: no route to host" in result["msg"]


def test_an_ill_etcd_member_is_named(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def health(address: str) -> bool:
        if address.endswith("12"):
            raise OSError("connection refused")
        return True

    monkeypatch.setattr(checks, "etcd_health", health)

    assert "etcd: m2 (10.77.0.12): connection refused" in run()["msg"]


def test_without_an_api_it_says_so_and_stops(api: Api, run: Any, clock: Clock) -> None:
    api.dead = True

    result = run()

    assert 2 < clock.slept <= 1 + 2, "the time that there is, and two seconds to clean up"
    assert [check["name"] for check in result["provision_verify"]["checks"]] == ["api"]
    assert "connection refused" in result["msg"]


def test_what_recovers_in_time_is_well(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def resolve(*_words: Any) -> bool:
        seen.append(1)
        if len(seen) < 3:
            raise checks.Unmet("no answer")
        return True

    monkeypatch.setattr(checks, "resolve", resolve)

    result = run(timeout=5)

    assert not result.get("failed")
    assert len(seen) == 3


def test_quick_needs_a_whole_one_that_passed(api: Api, run: Any) -> None:
    first, second = run(quick=True), run(quick=True)

    assert first["provision_verify"]["quick"] is False
    assert second["provision_verify"]["quick"] is True
    names = [check["name"] for check in second["provision_verify"]["checks"]]
    assert names == ["api", "nodes", "control plane", "etcd", "dns"]
    api.nodes = []
    assert run()["failed"]
    api.nodes = [node(name) for name in NODES]
    assert run(quick=True)["provision_verify"]["quick"] is False


def test_a_plan_neither_asks_nor_waits(api: Api, run: Any, tmp_path: Path) -> None:
    api.nodes = []  # those that are to come are not there yet
    assert run(check=True)["provision_verify"]["checks"] == []
    assert run(check=True, kubeconfig=str(tmp_path / "none"))["provision_verify"]["checks"] == []
    assert api.deleted == []


def test_namespaces_of_interrupted_runs_go(api: Api, run: Any) -> None:
    api.create("/api/v1/namespaces", pods.namespace("provision-verify-old"))

    run()

    assert "/api/v1/namespaces/provision-verify-old" in api.deleted


@pytest.mark.parametrize(("count", "questions"), [(1, 0), (2, 2), (4, 12), (50, 50 * 8)])
def test_the_number_of_questions_grows_with_the_nodes_alone(count: int, questions: int) -> None:
    pairs = pods.journeys({f"n{number:02}": "10.0.0.1" for number in range(count)})

    assert len(pairs) == len(set(pairs)) == questions
    assert all(one != other for one, other in pairs)


@pytest.fixture
def dns_server() -> Iterator[tuple[int, list[bytes]]]:
    """Answers each query with the next prepared tail after the query's own number; no tail means silence."""
    answers: list[bytes] = []
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                query, client = udp.recvfrom(512)
            except OSError:
                return
            if answers:
                udp.sendto(query[:2] + answers.pop(0), client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield udp.getsockname()[1], answers
    udp.close()


def test_a_dns_answer_is_read(dns_server: tuple[int, list[bytes]]) -> None:
    port, answers = dns_server
    answers += [b"\x84\x00\0\1\0\1\0\0\0\0", b"\x84\x03\0\1\0\0\0\0\0\0", b"\x84\x00\0\1\0\0\0\0\0\0"]

    assert checks.resolve("127.0.0.1", "a.example", port=port) is True
    with pytest.raises(checks.Unmet, match="code 3"):
        checks.resolve("127.0.0.1", "a.example", port=port)
    with pytest.raises(checks.Unmet, match="0 answers"):
        checks.resolve("127.0.0.1", "a.example", port=port)
    start = time.monotonic()
    with pytest.raises(checks.Unmet, match="does not answer"):
        checks.resolve("127.0.0.1", "a.example", timeout=0.05, port=port)
    assert time.monotonic() - start < 1


def test_a_question_has_the_form_of_rfc_1035() -> None:
    assert checks.dns_question("a.bc.", 258) == b"\1\2\1\0\0\1\0\0\0\0\0\0\1a\2bc\0\0\1\0\1"
