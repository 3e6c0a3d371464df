"""The stage of a drill: made whole, with the least rights, and removed whole."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

CERTIFICATE, AUTHORITY = "certificate", "authority"


class Kube:
    """A cluster that signs what is approved and runs what is deployed."""

    def __init__(self, *, ready: bool = True, left: tuple[str, ...] = ()) -> None:
        self.created: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.approved = False
        self._ready, self._left = ready, left

    def create(self, path: str, body: dict[str, Any]) -> None:
        self.created[body["kind"]] = {**body, "path": path}

    def request(self, method: str, path: str, body: dict[str, Any]) -> None:
        self.approved = method == "PUT" and path.endswith("/approval")

    def delete(self, path: str) -> None:
        self.deleted.append(path)

    def get(self, path: str) -> dict[str, Any]:
        if "certificatesigningrequests" in path:
            signed = base64.b64encode(CERTIFICATE.encode()).decode()
            return {"status": {"certificate": signed} if self.approved else {}}
        if path.endswith("/pods"):
            count = self.created["Deployment"]["spec"]["replicas"]
            state = "True" if self._ready else "False"
            status = {"conditions": [{"type": "Ready", "status": state}]}
            return {"items": [{"metadata": {"name": f"p{n}"}, "spec": {}, "status": status} for n in range(count)]}
        if path.endswith("/nodes"):
            return {"items": [{}, {}, {}]}
        if "/services/" in path:
            return {"spec": {"ports": [{"nodePort": 30123}]}}
        return {"items": [{"metadata": {"name": name}, "status": {"phase": "Active"}} for name in self._left]}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def call(run: ModuleRunner, kube: Kube, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **more: Any) -> dict[str, Any]:
    module = load("drill_stage")
    monkeypatch.setattr(module, "KubeClient", lambda _: kube)
    config = tmp_path / "admin.conf"
    config.write_text(f"certificate-authority-data: {base64.b64encode(AUTHORITY.encode()).decode()}\n")
    wanted = {"namespace": "drill-1", "request": "csr", "image": "agnhost", "kubeconfig": str(config), **more}
    return run(module, **wanted)


def test_it_is_made_whole(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kube = Kube(left=("provision-drill-old",))
    told = call(run, kube, monkeypatch, tmp_path, node="w1")["provision_drill"]
    assert (told["certificate"], told["authority"], told["port"]) == (CERTIFICATE, AUTHORITY, 30123)
    assert len(told["pods"]) == 2
    assert kube.deleted[0] == "/api/v1/namespaces/provision-drill-old"
    assert "certificatesigningrequests/drill-1" in kube.deleted[-1]


def test_its_user_may_do_nothing_else(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kube = Kube()
    call(run, kube, monkeypatch, tmp_path)
    asked = kube.created["CertificateSigningRequest"]["spec"]
    assert asked["signerName"] == "kubernetes.io/kube-apiserver-client"
    assert asked["expirationSeconds"] <= 3600
    verbs = {verb for rule in kube.created["Role"]["rules"] for verb in rule["verbs"]}
    assert verbs == {"get", "patch", "list"}
    assert kube.created["Role"]["path"].endswith("/namespaces/drill-1/roles")
    assert kube.created["RoleBinding"]["subjects"][0]["name"] == "drill-1"


def test_pods_leave_a_dead_node_soon_and_are_never_two_on_one(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kube = Kube()
    call(run, kube, monkeypatch, tmp_path, spare="cp1")
    pod = kube.created["Deployment"]["spec"]["template"]["spec"]
    assert {each["tolerationSeconds"] for each in pod["tolerations"] if "tolerationSeconds" in each} == {1}
    assert "podAntiAffinity" in pod["affinity"]
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    term = required["nodeSelectorTerms"][0]["matchExpressions"][0]
    assert (term["operator"], term["values"]) == ("NotIn", ["cp1"])


def test_pods_that_do_not_come_are_told(run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = call(run, Kube(ready=False), monkeypatch, tmp_path, timeout=0)
    assert done["msg"] == "0 of 2 pods of the drill are ready"


@pytest.mark.parametrize(("left", "changed"), [(("provision-drill-old",), True), ((), False)])
def test_it_is_removed_whole(
    run: ModuleRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, left: tuple[str, ...], changed: bool
) -> None:
    kube = Kube(left=left)
    assert call(run, kube, monkeypatch, tmp_path, state="absent", check=True)["changed"] is changed
    assert kube.deleted == []
    assert call(run, kube, monkeypatch, tmp_path, state="absent")["changed"] is changed
    assert kube.deleted == [f"/api/v1/namespaces/{name}" for name in left]
