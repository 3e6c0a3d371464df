"""A host joins when it must, and a member is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


class Host:
    """A host that may join: its credentials, and what is done to it."""

    def __init__(
        self,
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
        credentials: bool = False,
        ca: str = "",
        made: bool = True,
    ) -> None:
        """With `made` it has been brought up as a control plane, where it is one."""
        self.module = load("kubeadm_join")
        self.done: list[str] = []
        (root / "pki").mkdir()
        (root / "pki" / "ca.crt").write_text(ca)
        if credentials:
            (root / "kubelet.conf").write_text("x")
        if made:
            (root / "kubeadm.yaml").write_text("x")
        monkeypatch.setattr(self.module, "APPLIED", str(root / "kubeadm.yaml"))
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
        ({"made": False}, {}, "joined", ["join"]),
        ({}, {"control_plane": True, "registered": True}, "none", []),
        ({"made": False}, {"control_plane": True}, "none", []),
        ({"made": False, "credentials": True, "ca": "authority"}, {"control_plane": True}, "none", []),
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


def test_secrets_in_memory_are_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load("kubeadm_join")
    from ansible.module_utils import kubeadm  # type: ignore[attr-defined]

    monkeypatch.setattr(kubeadm, "RUN", str(tmp_path / "run"))
    with kubeadm.private_directory() as directory:
        path = kubeadm.write_private(directory, "join.yaml", "secret")
        assert Path(path).stat().st_mode & 0o777 == 0o600
        assert Path(directory).stat().st_mode & 0o777 == 0o700
    assert not Path(directory).exists()
