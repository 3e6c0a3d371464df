"""The modules around kubeadm: what they decide, with kubeadm and the node's files stood in for."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

OLD, NEW = "kubernetesVersion: v1.36.4\nold\n", "kubernetesVersion: v1.36.4\nnew\n"
PEM = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"


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
        monkeypatch.setattr(self.module, "APPLIED", str(self.applied))
        self.notes: dict[str, str] = {}
        monkeypatch.setattr(self.module, "unready", lambda _peers: self.deaf)
        monkeypatch.setattr(self.module, "config_map", lambda *_: ({}, self.notes))
        monkeypatch.setattr(self.module, "kubectl", lambda *words, **_: self.notes.update([words[-1].split("=", 1)]))
        monkeypatch.setattr(self.module, "wait_until", lambda *_a, **_k: None)
        monkeypatch.setattr(own, "wanted_manifests", lambda _self: self.wanted)
        monkeypatch.setattr(own, "certificate_names", lambda _self: self.names)
        monkeypatch.setattr(own, "renew_certificate", lambda _self: self.waited.append("certificate"))
        monkeypatch.setattr(own, "create", lambda _self: self.waited.append("create"))
        monkeypatch.setattr(own, "wait", lambda _self, component, _since: self._wait(component))

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


def test_what_does_not_come_up_is_put_back(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = Plane(tmp_path, monkeypatch)
    plane.wanted["kube-apiserver"] = "kube-apiserver --no-such-flag\n"
    plane.broken = {"kube-apiserver"}
    result = call(run, plane, NEW)
    assert result["failed"]
    assert "kube-apiserver does not work" in result["msg"]
    assert (plane.text("kube-apiserver"), plane.applied.read_text()) == ("kube-apiserver 1\n", OLD)


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
    assert "provision upgrade" in result["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_a_host_that_was_not_finished_is_brought_up(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    plane = Plane(tmp_path, monkeypatch, applied=None)
    result = call(run, plane, NEW, check=check)
    assert (result["changed"], result["action"]) == (True, "created")
    assert plane.applied.exists() is not check
    assert plane.waited == ([] if check else ["create"])


class Secrets:
    """Where a control plane keeps what all of them share; `kubeadm` writes files that name the phase."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = load("kubeadm_pki")
        self.pki, self.encryption, self.applied = root / "pki", root / "encryption.yaml", root / "applied"
        self.pki.mkdir()
        monkeypatch.setattr(self.module, "PKI", str(self.pki))
        monkeypatch.setattr(self.module, "APPLIED", str(self.applied))
        monkeypatch.setattr(self.module, "run", self._kubeadm)
        monkeypatch.setattr(self.module, "private_directory", lambda: __import__("contextlib").nullcontext(str(root)))
        monkeypatch.setattr(self.module, "write", lambda path, data, *_rest: Path(path).write_bytes(data))

    def _kubeadm(self, *words: str) -> str:
        for name in self.module.PHASES[words[4]]:
            (self.pki / name).write_text(PEM if name == "ca.crt" else name)
        return ""

    def call(self, run: ModuleRunner, **other: Any) -> dict[str, Any]:
        return run(self.module, config="x: y", encryption=str(self.encryption), **other)


def test_secrets_are_born_once(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets(tmp_path, monkeypatch)
    planned = secrets.call(run, check=True)
    assert (planned["changed"], planned["contents"]) == (True, {})
    first = secrets.call(run)
    assert first["created"] == ["ca", "front-proxy-ca", "sa", str(secrets.encryption)]
    assert base64.b64decode(first["contents"][str(secrets.pki / "sa.key")]) == b"sa.key"
    key = next(line for line in secrets.encryption.read_text().splitlines() if "secret:" in line).split()[1]
    assert len(base64.b64decode(key)) == 32
    again = secrets.call(run)
    assert (again["changed"], again["contents"]) == (False, first["contents"])


def test_no_second_authority_is_made(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets(tmp_path, monkeypatch)
    assert "cannot be the leader" in secrets.call(run, elsewhere=["", "ab" * 32])["msg"]
    assert not list(secrets.pki.iterdir())
    secrets.call(run)
    assert "another cluster" in secrets.call(run, elsewhere=["ab" * 32])["msg"]
    assert not secrets.call(run, elsewhere=[secrets.module.fingerprint(str(secrets.pki / "ca.crt"))])["changed"]


def test_a_member_that_lost_a_secret_gets_no_new_one(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = Secrets(tmp_path, monkeypatch)
    secrets.call(run)
    secrets.applied.write_text(NEW)
    secrets.encryption.unlink()
    result = secrets.call(run)
    assert result["failed"]
    assert "copy it from another one" in result["msg"]


class Host:
    """A host that may join: its credentials, and what is done to it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, credentials: bool = False, ca: str = "") -> None:
        self.module = load("kubeadm_join")
        self.done: list[str] = []
        (root / "pki").mkdir()
        (root / "pki" / "ca.crt").write_text(ca)
        if credentials:
            (root / "kubelet.conf").write_text("x")
        monkeypatch.setattr(self.module, "CREDENTIALS", str(root / "kubelet.conf"))
        monkeypatch.setattr(self.module, "PKI", str(root / "pki"))
        monkeypatch.setattr(self.module, "join", lambda _params: self.done.append("join"))
        monkeypatch.setattr(self.module, "register", lambda _params: self.done.append("register"))

    def call(self, run: ModuleRunner, **other: Any) -> dict[str, Any]:
        given = {"token": "abcdef.0123456789abcdef", "ca": "authority\n", **other}
        return run(
            self.module,
            name="w1",
            address="10.0.0.1",
            endpoint="api:8443",
            config="x: DISCOVERY",
            labels={"a": "b"},
            **given,
        )


@pytest.mark.parametrize(
    ("host", "asked", "action", "done"),
    [
        ({}, {}, "joined", ["join"]),
        ({"credentials": True, "ca": "authority"}, {"registered": True}, "none", []),
        ({"credentials": True, "ca": "authority"}, {}, "registered", ["register"]),
        ({"credentials": True, "ca": "another"}, {}, "joined", ["join"]),
        ({"credentials": True}, {"token": "", "ca": ""}, "none", []),
        ({}, {"control_plane": True, "registered": True}, "none", []),
        ({"credentials": True, "ca": "another"}, {"control_plane": True}, "registered", ["register"]),
    ],
)
def test_a_host_joins_when_it_must(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    host: dict[str, Any], asked: dict[str, Any], action: str, done: list[str],
) -> None:  # fmt: skip
    node = Host(tmp_path, monkeypatch, **host)
    planned = node.call(run, check=True, **asked)
    assert (planned["action"], node.done) == (action, [])
    result = node.call(run, **asked)
    assert (result["action"], result["changed"], node.done) == (action, action != "none", done)
    assert result["node"] == {"name": "w1", "address": "10.0.0.1", "labels": {"a": "b"}, "taints": []}
    assert "0123456789abcdef" not in str(result)


def test_a_join_without_a_token_says_so(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no token" in Host(tmp_path, monkeypatch).call(run, token="")["msg"]


def test_a_token_lives_shortly_and_only_authenticates() -> None:
    module = load("kubeadm_token")
    token = module.new_token()
    secret = module.manifest(token, 900)
    assert [len(part) for part in token.split(".")] == [6, 16]
    assert secret["metadata"]["name"] == f"bootstrap-token-{token[:6]}"
    assert "usage-bootstrap-signing" not in secret["stringData"]


def test_endpoints_hold_a_port() -> None:
    module = load("node_ready")
    assert [module.endpoint(a) for a in ("10.0.0.1", "api:8443", "fd00::1")] == [
        "10.0.0.1:6443",
        "api:8443",
        "[fd00::1]:6443",
    ]


def test_secrets_in_memory_are_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load("kubeadm_join")
    from ansible.module_utils import kubeadm  # type: ignore[attr-defined]

    monkeypatch.setattr(kubeadm, "RUN", str(tmp_path / "run"))
    with kubeadm.private_directory() as directory:
        path = kubeadm.write_private(directory, "join.yaml", "secret")
        assert Path(path).stat().st_mode & 0o777 == 0o600
        assert Path(directory).stat().st_mode & 0o777 == 0o700
    assert not Path(directory).exists()


def test_a_reset_leaves_etcd_alone(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its phase skipped, kubeadm empties /var/lib/etcd, although that etcd is none of its own."""
    module = load("kubeadm_reset")
    said: list[str] = []
    (tmp_path / "kubelet.conf").write_text("x")
    monkeypatch.setattr(module, "TRACES", (f"{tmp_path}/*.conf",))
    monkeypatch.setattr(module, "run", lambda *words: said.extend(words))
    monkeypatch.setattr(module.shutil, "which", lambda _name: "/usr/local/bin/kubeadm")
    assert run(module, cri_socket="unix:///x", check=True)["changed"]
    assert (tmp_path / "kubelet.conf").exists()
    assert run(module, cri_socket="unix:///x")["changed"]
    assert "remove-etcd-member" in said[said.index("--skip-phases") + 1]
    assert not run(module, cri_socket="unix:///x")["changed"]
