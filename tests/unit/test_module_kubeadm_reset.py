"""A host that leaves keeps what is not of Kubernetes."""

from __future__ import annotations

from pathlib import Path

import pytest

from .module_runner import ModuleRunner, load


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


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
