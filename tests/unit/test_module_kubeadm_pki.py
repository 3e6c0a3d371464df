"""The secrets of a cluster are born once and never replaced."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

PEM = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


class Secrets:
    """Where a control plane keeps what all of them share; `kubeadm` writes files that name the phase."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = load("kubeadm_pki")
        self.pki, self.encryption, self.applied = root / "pki", root / "encryption.yaml", root / "applied"
        self.pki.mkdir()
        monkeypatch.setattr(self.module, "PKI", str(self.pki))
        monkeypatch.setattr(self.module, "APPLIED", str(self.applied))
        monkeypatch.setattr(self.module, "run", self._kubeadm)
        monkeypatch.setattr(self.module, "private_directory", lambda: contextlib.nullcontext(str(root)))
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
    secrets.applied.write_text("x")
    secrets.encryption.unlink()
    result = secrets.call(run)
    assert result["failed"]
    assert "copy it from another one" in result["msg"]
