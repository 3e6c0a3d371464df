"""etcd's certificates, made by the real kubeadm."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.programs import program
from tests.unit.module_runner import ModuleRunner

KUBEADM = program("kubeadm")
pytestmark = [
    pytest.mark.skipif(KUBEADM is None, reason="kubeadm is neither installed nor built here"),
    pytest.mark.skipif(os.geteuid() != 0, reason="certificates get owners: needs root"),
]
MEMBER = ("server", "peer", "healthcheck-client", "apiserver-etcd-client")
COMMON = {"kubernetes_version": "1.36.4", "owner": pwd.getpwuid(os.geteuid()).pw_name}


@pytest.fixture(name="run")
def _run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    assert KUBEADM is not None
    monkeypatch.setenv("PATH", f"{KUBEADM.parent}:{os.environ['PATH']}")
    return ModuleRunner(monkeypatch, capsys)


def authority(run: ModuleRunner, directory: Path, **options: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"state": "authority", "directory": str(directory), "address": "10.77.0.11", **COMMON}
    return run("etcd_certificates", **(arguments | options))


def member(run: ModuleRunner, directory: Path, given: dict[str, str], **options: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        **COMMON,
        "state": "member",
        "directory": str(directory),
        "name": "m1",
        "address": "10.77.0.11",
        "authority": given,
    }
    return run("etcd_certificates", **(arguments | options))


def test_one_authority_signs_every_member_and_a_second_run_changes_nothing(run: ModuleRunner, tmp_path: Path) -> None:
    given = authority(run, tmp_path / "one")["authority"]
    assert authority(run, tmp_path / "one")["changed"] is False
    for name, address in (("one", "10.77.0.11"), ("two", "10.77.0.12")):
        assert member(run, tmp_path / name, given, name=name, address=address)["changed"] is True
        assert member(run, tmp_path / name, given, name=name, address=address)["changed"] is False
        for certificate in MEMBER:
            path = tmp_path / name / f"{certificate}.crt"
            subprocess.run(["openssl", "verify", "-CAfile", tmp_path / "one" / "ca.crt", path], check=True)
            assert path.with_suffix(".key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "one" / "ca.key").read_bytes() == (tmp_path / "two" / "ca.key").read_bytes()
    assert not list(Path("/run/provision").glob("etcd-*"))


def test_a_new_address_replaces_the_two_certificates_that_name_it(run: ModuleRunner, tmp_path: Path) -> None:
    given = authority(run, tmp_path)["authority"]
    member(run, tmp_path, given)

    result = member(run, tmp_path, given, sans=["etcd.example.org"])

    assert result["made"] == [str(tmp_path / "server"), str(tmp_path / "peer")]
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", tmp_path / "server.crt"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "etcd.example.org" in text
    assert "10.77.0.11" in text


def test_check_mode_makes_nothing(run: ModuleRunner, tmp_path: Path) -> None:
    first = authority(run, tmp_path / "pki", check=True)
    assert first["changed"] is True
    assert member(run, tmp_path / "pki", first["authority"], check=True)["changed"] is True
    assert not (tmp_path / "pki").exists()


def test_another_authority_is_refused(run: ModuleRunner, tmp_path: Path) -> None:
    given = authority(run, tmp_path / "one")["authority"]
    authority(run, tmp_path / "two")
    result = member(run, tmp_path / "two", given)
    assert result["failed"] is True
    assert "not the one of the other members" in result["msg"]


def test_what_ends_in_time_is_renewed_once(run: ModuleRunner, tmp_path: Path) -> None:
    given = authority(run, tmp_path)["authority"]
    member(run, tmp_path, given, validity_days=40)
    first = {name: (tmp_path / f"{name}.crt").read_text() for name in MEMBER}

    assert member(run, tmp_path, given, within=30)["changed"] is False
    renewed = member(run, tmp_path, given, within=90, since=(tmp_path / "server.crt").stat().st_mtime + 60)

    assert sorted(renewed["made"]) == sorted(str(tmp_path / name) for name in MEMBER)
    assert all((tmp_path / f"{name}.crt").read_text() != text for name, text in first.items())
    assert member(run, tmp_path, given, within=90)["changed"] is False
    since = (tmp_path / "server.crt").stat().st_mtime - 60
    assert member(run, tmp_path, given, within=1000, since=since)["changed"] is False
