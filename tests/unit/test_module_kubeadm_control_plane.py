"""A control plane changes only what its configuration changes, and comes back when that does not work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

OLD, NEW = "kubernetesVersion: v1.36.4\nold\n", "kubernetesVersion: v1.36.4\nnew\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


class Plane:
    """A control plane whose three manifests are files, and whose components always (or never) work."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, applied: str | None = OLD) -> None:
        self.module = load("kubeadm_control_plane")
        self.manifests, self.applied = root / "manifests", root / "kubeadm.yaml"
        self.manifests.mkdir()
        self.wanted = {name: f"{name} 1\n" for name in self.module.COMPONENTS}
        for name, text in self.wanted.items():
            (self.manifests / f"{name}.yaml").write_text(text)
        if applied is not None:
            self.applied.write_text(applied)
        self.waited: list[str] = []
        self.broken: set[str] = set()
        self.names = {"127.0.0.1"}
        self.deaf: list[str] = []
        own = self.module.ControlPlane
        monkeypatch.setattr(self.module, "MANIFESTS", str(self.manifests))
        self.pods = root / "pods"
        monkeypatch.setattr(self.module, "PODS", str(self.pods))
        monkeypatch.setattr(self.module, "APPLIED", str(self.applied))
        monkeypatch.setattr(self.module, "SEAL", str(root / "seal"))
        self.notes: dict[str, str] = {}
        monkeypatch.setattr(self.module, "unready", lambda _peers: self.deaf)
        monkeypatch.setattr(self.module, "config_map", lambda *_: ({}, self.notes))
        monkeypatch.setattr(self.module, "kubectl", lambda *words, **_: self.notes.update([words[-1].split("=", 1)]))
        monkeypatch.setattr(self.module, "wait_until", lambda *_a, **_k: None)
        self.asked = 0
        monkeypatch.setattr(own, "wanted_manifests", lambda _self: self._ask())
        monkeypatch.setattr(own, "certificate_names", lambda _self: self.names)
        monkeypatch.setattr(own, "renew_certificate", lambda _self: self.waited.append("certificate"))
        monkeypatch.setattr(own, "create", lambda _self: self.waited.append("create"))
        monkeypatch.setattr(own, "wait", lambda _self, component, _since: self._wait(component))

    def _ask(self) -> dict[str, str]:
        self.asked += 1
        return self.wanted

    def _wait(self, component: str) -> None:
        self.waited.append(component)
        if component in self.broken:
            raise self.module.KubeadmError(f"{component} does not work")

    def text(self, component: str) -> str:
        return (self.manifests / f"{component}.yaml").read_text()


def call(run: ModuleRunner, plane: Plane, config: str = OLD, **other: Any) -> dict[str, Any]:
    return run(
        plane.module, config=config, address="10.0.0.1", **{"cert_sans": ["127.0.0.1"], "peers": ["10.0.0.2"], **other}
    )


def test_an_unchanged_member_is_left_alone(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = Plane(tmp_path, monkeypatch)
    result = call(run, plane)
    assert (result["changed"], result["action"], plane.waited) == (False, "none", [])


def test_only_the_changed_component_restarts(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = Plane(tmp_path, monkeypatch)
    plane.wanted["kube-scheduler"] = "kube-scheduler 2\n"
    planned = call(run, plane, NEW, check=True)
    assert planned["changed"]
    assert [part["after"] for part in planned["diff"]] == ["kube-scheduler 2\n"]
    assert (plane.waited, plane.applied.read_text(), plane.text("kube-scheduler")) == ([], OLD, "kube-scheduler 1\n")
    result = call(run, plane, NEW)
    assert (result["action"], plane.waited[0]) == ("kube-scheduler", "kube-scheduler")
    assert plane.applied.read_text() == NEW
    assert not call(run, plane, NEW)["changed"]


def test_kubeadm_is_asked_again_only_after_a_change(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = Plane(tmp_path, monkeypatch)
    call(run, plane)
    assert not call(run, plane)["changed"]
    assert plane.asked == 1
    (plane.manifests / "kube-scheduler.yaml").write_text("kube-scheduler by hand\n")
    assert call(run, plane, check=True)["action"] == "kube-scheduler"
    assert call(run, plane)["action"] == "kube-scheduler"
    assert plane.asked == 3
    assert call(run, plane, NEW)["action"] == "none"
    assert plane.asked == 4
    assert not call(run, plane, NEW)["changed"]
    assert plane.asked == 4


def test_what_does_not_come_up_is_put_back(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = Plane(tmp_path, monkeypatch)
    plane.wanted["kube-apiserver"] = "kube-apiserver --no-such-flag\n"
    plane.broken = {"kube-apiserver"}
    result = call(run, plane, NEW)
    assert result["failed"]
    assert "kube-apiserver does not work" in result["msg"]
    assert (plane.text("kube-apiserver"), plane.applied.read_text()) == ("kube-apiserver 1\n", OLD)


@pytest.mark.parametrize(
    ("broken", "waited", "left"),
    [
        # The other two are not touched before the API server works, and put back together.
        ("kube-apiserver", ["kube-apiserver"], ["1", "1", "1"]),
        ("kube-scheduler", ["kube-apiserver", "kube-controller-manager", "kube-scheduler"], ["2", "1", "1"]),
    ],
)
def test_the_api_server_is_replaced_first_and_the_others_together(
    run: ModuleRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    waited: list[str],
    left: list[str],
) -> None:
    plane = Plane(tmp_path, monkeypatch)
    plane.wanted = {name: f"{name} 2\n" for name in plane.wanted}
    plane.broken = {broken}
    assert f"{broken} does not work" in call(run, plane, NEW)["msg"]
    assert plane.waited == waited
    assert [plane.text(name)[-2] for name in plane.wanted] == left


def test_the_new_pod_comes_when_the_old_one_is_gone(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes earlier waits for the kubelet's next look, ten seconds and more."""
    plane = Plane(tmp_path, monkeypatch)
    old, wanted = plane.pods / "uid" / "containers" / "kube-scheduler", "metadata:\n  name: kube-scheduler\n"
    old.mkdir(parents=True)
    plane.wanted["kube-scheduler"] = wanted
    meanwhile = []

    def wait_until(missing: Callable[[], str | None], _timeout: int) -> None:
        assert missing()
        meanwhile.append(plane.text("kube-scheduler"))
        old.rmdir()
        assert missing() is None

    monkeypatch.setattr(plane.module, "wait_until", wait_until)
    assert call(run, plane, NEW)["action"] == "kube-scheduler"
    assert plane.text("kube-scheduler") == wanted

    # Broken off in between, the one in between may be what runs: the next one is not the same.
    (plane.manifests / "kube-scheduler.yaml").write_text(meanwhile[0])
    old.mkdir()
    assert call(run, plane)["action"] == "kube-scheduler"
    assert plane.text("kube-scheduler") == wanted
    assert len({wanted, *meanwhile}) == 3
    for text in meanwhile:
        assert re.fullmatch(r"metadata:\n  generateName: next-\w+-\n  name: kube-scheduler\n", text)


def test_nothing_is_touched_while_another_control_plane_is_down(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = Plane(tmp_path, monkeypatch)
    plane.wanted["kube-apiserver"], plane.deaf = "kube-apiserver 2\n", ["10.0.0.2"]
    result = call(run, plane, NEW)
    assert result["failed"]
    assert "10.0.0.2" in result["msg"]
    assert plane.text("kube-apiserver") == "kube-apiserver 1\n"


def test_a_change_that_failed_is_not_tried_on_the_next_one(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = Plane(tmp_path, monkeypatch)
    plane.wanted["kube-apiserver"], plane.broken = "kube-apiserver 2\n", {"kube-apiserver"}
    call(run, plane, NEW, attempt="100.5")
    assert plane.notes == {"provision/failed": "100.5 on 10.0.0.1"}
    plane.waited.clear()
    assert "the change failed on 10.0.0.1" in call(run, plane, NEW, attempt="100.5")["msg"]
    assert plane.waited == []
    plane.broken.clear()
    assert call(run, plane, NEW, attempt="200.5")["action"] == "kube-apiserver"


def test_a_name_more_renews_the_certificate_alone(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = Plane(tmp_path, monkeypatch)
    result = call(run, plane, cert_sans=["127.0.0.1", "k8s.example.org"])
    assert (result["action"], plane.waited) == ("certificate", ["certificate"])
    assert "k8s.example.org" in result["diff"][0]["after"]


def test_another_version_is_refused(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = call(run, Plane(tmp_path, monkeypatch), OLD.replace("36.4", "37.0"))
    assert result["failed"]
    assert "provision upgrade --to 1.37.0" in result["msg"]


def test_an_upgrade_replaces_what_the_version_changes(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = Plane(tmp_path, monkeypatch)
    new = OLD.replace("36.4", "37.0")
    planned = call(run, plane, new, check=True, upgrade=True)
    assert planned["diff"][0]["before"] == "v1.36.4\n"
    assert (planned["diff"][0]["after"], plane.waited) == ("v1.37.0\n", [])
    plane.wanted = {name: f"{name} 2\n" for name in plane.wanted}
    assert call(run, plane, new, upgrade=True)["action"] == ", ".join(plane.module.COMPONENTS)
    assert plane.applied.read_text() == new
    assert call(run, plane, new, upgrade=True)["action"] == "none"


@pytest.mark.parametrize("check", [True, False])
def test_a_host_that_was_not_finished_is_brought_up(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    plane = Plane(tmp_path, monkeypatch, applied=None)
    result = call(run, plane, NEW, check=check)
    assert (result["changed"], result["action"]) == (True, "created")
    assert plane.applied.exists() is not check
    assert plane.waited == ([] if check else ["create"])
