"""A renewed certificate counts when its service shows it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load


def certificate(directory: Path, name: str) -> Path:
    path, key = directory / f"{name}.pem", directory / f"{name}.key"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"]
    subprocess.run([*words, "-subj", f"/CN={name}", "-out", path, "-keyout", key], capture_output=True, check=True)
    path.write_text(path.read_text() + key.read_text())
    return path


class Service:
    """Shows a certificate to whoever connects."""

    def __init__(self, path: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                plain, _ = self.socket.accept()
                with plain, self.context.wrap_socket(plain, server_side=True):
                    pass
            except ssl.SSLError:
                continue
            except OSError:
                return


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    found = Service(certificate(tmp_path, "shown"))
    yield found
    found.socket.close()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def wait(run: ModuleRunner, port: int, path: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> dict[str, Any]:
    module = load("certificates_served")
    ill = more.pop("ill", None)
    monkeypatch.setattr(module, "unanswered", lambda _url, verify: ill)
    entries = [{"port": port, "path": str(path)}]
    return run(module, address="127.0.0.1", certificates=entries, health="http://127.0.0.1:1/", timeout=0, **more)


def test_the_one_in_the_file_is_shown(
    run: ModuleRunner, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = wait(run, service.port, tmp_path / "shown.pem", monkeypatch)
    assert done == {**done, "changed": False, "shown": [str(tmp_path / "shown.pem")]}


def test_another_one_is_told_but_not_in_a_plan(
    run: ModuleRunner, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificate(tmp_path, "renewed")
    failed = wait(run, service.port, other, monkeypatch)
    assert f"port {service.port} shows another certificate than {other}" in failed["msg"]
    assert "failed" not in wait(run, service.port, other, monkeypatch, check=True)


def test_an_ill_service_is_told_though_it_shows_the_right_one(
    run: ModuleRunner, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "HTTP 500" in wait(run, service.port, tmp_path / "shown.pem", monkeypatch, ill="HTTP 500")["msg"]
