"""The API client against a real TLS server, with a kubeconfig as kubeadm writes it."""

from __future__ import annotations

import base64
import http.server
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .module_runner import load

node_pod_cidrs = load("node_pod_cidrs")
KubeClient, ApiError = node_pod_cidrs.KubeClient, node_pod_cidrs.ApiError
pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificates")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every path with what it was asked; keeps the connection open."""

    protocol_version = "HTTP/1.1"
    connections: set[int]

    def do_GET(self) -> None:
        self.connections.add(self.client_address[1])
        status = {"/missing": 404, "/plain": 200}.get(self.path, 200)
        peer = dict(part[0] for part in self.connection.getpeercert()["subject"])  # type: ignore[attr-defined]
        body = (
            b"ok"
            if self.path == "/plain"
            else json.dumps({"message": "no such thing", "user": peer["commonName"]}).encode()
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: Any) -> None:
        """Nothing is printed."""


def certificate(folder: Path, name: str, *words: str) -> None:
    command = [
        "openssl",
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        f"{name}.key",
        "-subj",
        f"/CN={name}",
        *words,
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    certificate(folder, "ca", "-x509", "-days", "2", "-out", "ca.crt")
    for name, names in {"localhost": "DNS:localhost,IP:127.0.0.1", "client": "DNS:client"}.items():
        words = ["-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2", "-addext", f"subjectAltName={names}", "-x509"]
        certificate(folder, name, *words, "-out", f"{name}.crt")
    return folder


@pytest.fixture
def server(pki: Path) -> Iterator[http.server.ThreadingHTTPServer]:
    Handler.connections = set()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "localhost.crt", pki / "localhost.key")
    context.load_verify_locations(pki / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.socket = context.wrap_socket(running.socket, server_side=True)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


def kubeconfig(pki: Path, port: int, folder: Path, embedded: bool) -> Path:
    def field(name: str, file: str) -> str:
        data = base64.b64encode((pki / file).read_bytes()).decode()
        return f"{name}-data: {data}" if embedded else f"{name}: {pki / file}"

    text = f"""apiVersion: v1
clusters:
- cluster:
    {field("certificate-authority", "ca.crt")}
    server: https://localhost:{port}
  name: kubernetes
users:
- name: kubernetes-admin
  user:
    {field("client-certificate", "client.crt")}
    {field("client-key", "client.key")}
"""
    file = folder / "admin.conf"
    file.write_text(text)
    return file


@pytest.mark.parametrize("embedded", [True, False])
def test_it_shows_its_certificate_and_uses_one_connection(
    pki: Path, server: http.server.ThreadingHTTPServer, tmp_path: Path, embedded: bool
) -> None:
    kube = KubeClient(str(kubeconfig(pki, server.server_port, tmp_path, embedded)))

    assert kube.get("/api")["user"] == "client"
    assert kube.create("/api", {"kind": "X"}) == {"kind": "X"}
    assert kube.get("/plain") == "ok"
    assert len(Handler.connections) == 1


def test_an_error_has_the_servers_words_and_its_code(
    pki: Path, server: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    kube = KubeClient(str(kubeconfig(pki, server.server_port, tmp_path, True)))

    with pytest.raises(ApiError, match="no such thing") as caught:
        kube.get("/missing")
    assert caught.value.status == 404


def test_another_authority_is_refused(pki: Path, server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    file = kubeconfig(pki, server.server_port, tmp_path, False)
    certificate(tmp_path, "other", "-x509", "-out", "other.crt")
    file.write_text(file.read_text().replace(str(pki / "ca.crt"), str(tmp_path / "other.crt")))

    with pytest.raises(OSError, match="certificate verify failed"):
        KubeClient(str(file)).get("/api")


def test_a_dead_server_is_an_error_that_names_it(pki: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="localhost:1:"):
        KubeClient(str(kubeconfig(pki, 1, tmp_path, True))).get("/api")
