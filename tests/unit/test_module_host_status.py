"""What a host tells about itself: units, addresses, and how long its certificates last."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

from ansible.module_utils import managed  # isort: skip  # type: ignore[attr-defined]

host_module = load("host_status")


def test_units_are_read_from_systemd() -> None:
    class Module:
        @staticmethod
        def run_command(words: list[str]) -> tuple[int, str, str]:
            assert words[-2:] == ["a.service", "b.service"]
            there = "Id=a.service\nLoadState=loaded\nActiveState=active\n"
            missing = "Id=b.service\nLoadState=not-found\nActiveState=inactive\n"
            return 0, f"{there}\n{missing}", ""

    assert host_module.units(Module, ["a.service", "b.service"]) == {"a.service": "active", "b.service": "not-found"}


def test_a_host_without_a_cluster_is_readable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setattr(managed, "RECORD", str(tmp_path / "files.json"))
    result = ModuleRunner(monkeypatch, capsys)(
        host_module, certificates=[str(tmp_path / "*.crt")], backups=str(tmp_path)
    )

    assert result["host"] == {
        "units": {},
        "vip_held": False,
        "certificates": [],
        "backup_age_hours": None,
        "changes": [],
    }
    assert result["changed"] is False


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificates")
def test_certificates_are_found_in_files_and_in_kubeconfigs(tmp_path: Path) -> None:
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "40"]
    subprocess.run([*words, "-keyout", "x.key", "-out", "x.crt"], cwd=tmp_path, check=True, capture_output=True)
    data = base64.b64encode((tmp_path / "x.crt").read_bytes()).decode()
    (tmp_path / "admin.conf").write_text(f"users:\n- user:\n    client-certificate-data: {data}\n")
    (tmp_path / "kubelet.conf").write_text("users:\n- user:\n    client-certificate: /var/lib/kubelet/x.pem\n")
    (tmp_path / "broken.crt").write_text("nothing")

    rows = host_module.certificates([f"{tmp_path}/*.crt", f"{tmp_path}/*.conf"])

    assert [(Path(row["name"]).name, row["days_left"]) for row in rows] == [("admin.conf", 39), ("x.crt", 39)]
    assert all(row["authority"] for row in rows)  # they signed themselves


@pytest.mark.parametrize(("address", "held"), [("10.77.0.10", True), ("10.77.0.1", False), ("", False)])
def test_an_address_is_held_when_an_interface_has_it(address: str, held: bool) -> None:
    class Module:
        @staticmethod
        def run_command(_words: list[str]) -> tuple[int, str, str]:
            return (
                0,
                json.dumps([{"ifname": "eth0", "addr_info": [{"local": "10.77.0.11"}, {"local": "10.77.0.10"}]}]),
                "",
            )

    assert host_module.holds(Module, address) is held


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("LoadState=loaded\nUnitFileState=enabled\nDropInPaths=", []),
        ("LoadState=loaded\nUnitFileState=static", []),
        ("LoadState=loaded\nUnitFileState=disabled", ["a.service is disabled"]),
        ("LoadState=masked\nUnitFileState=masked-runtime", ["a.service is masked-runtime"]),
        ("LoadState=loaded\nDropInPaths=/etc/ours.conf /usr/lib/distribution.conf", []),
        ("LoadState=loaded\nDropInPaths=/etc/ours.conf /etc/b.conf", ["a.service is changed by /etc/b.conf"]),
    ],
)
def test_units_that_somebody_changed_are_told(fields: str, says: list[str]) -> None:
    class Module:
        @staticmethod
        def run_command(_words: list[str]) -> tuple[int, str, str]:
            return 0, f"Id=a.service\n{fields}\n", ""

    assert host_module.unit_changes(Module, ["a.service"], {"/etc/ours.conf": "x"}) == says
    assert host_module.unit_changes(Module, [], {}) == []
