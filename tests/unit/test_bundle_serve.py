from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.bundle import files, manifest, mirror, serve
from provision.bundle.serve import Server
from provision.errors import InvalidInput, PreflightRefused, UsageError
from tests.unit.bundle_servers import quiet
from tests.unit.test_bundle_files import make_image
from tests.unit.test_bundle_manifest import make

_FAKE_REGISTRY = """#!{python}
import json, socketserver, sys
host, port = json.load(open(sys.argv[2]))["http"]["addr"].rsplit(":", 1)
socketserver.TCPServer.allow_reuse_address = True
socketserver.TCPServer((host, int(port)), socketserver.BaseRequestHandler).serve_forever()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def registry_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that listens where the registry would: these tests are about the files."""
    program = tmp_path / "bin" / "docker-registry"
    files.write(program, _FAKE_REGISTRY.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    make(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def server(bundle: Path, registry_program: Path) -> Iterator[Server]:
    with Server(bundle, "127.0.0.1", free_port(), free_port()) as running:
        yield running


def get(server: Server, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=5)
    connection.putrequest("GET", path, skip_host=False)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    return connection.getresponse()


def test_files_of_the_manifest_are_served(server: Server) -> None:
    assert get(server, "/files/kubelet").read() == b"kubelet"
    assert get(server, "/files/./kubelet").read() == b"kubelet"
    assert get(server, f"/{manifest.NAME}").status == 200


def test_nothing_else_is_served(server: Server, bundle: Path) -> None:
    (bundle / "secret").write_text("x")
    for path in (
        "/secret",
        "/",
        "/files",
        "/../bin/docker-registry",
        "/files/../../bin/docker-registry",
        "/%2e%2e/bin",
    ):
        assert get(server, path).status == 404, path


@pytest.mark.parametrize(
    ("wanted", "status", "content"),
    [
        ("bytes=0-2", 206, b"kub"),
        ("bytes=4-", 206, b"let"),
        ("bytes=-3", 206, b"let"),
        ("bytes=5-500", 206, b"et"),
        ("bytes=7-", 416, b""),
        ("bytes=nonsense", 200, b"kubelet"),
    ],
)
def test_ranges(server: Server, wanted: str, status: int, content: bytes) -> None:
    answer = get(server, "/files/kubelet", Range=wanted)
    assert (answer.status, answer.read()) == (status, content)


def test_a_range_of_another_version_gets_the_whole_file(server: Server) -> None:
    assert get(server, "/files/kubelet", Range="bytes=4-", If_Range='"other"').read() == b"kubelet"
    tag = get(server, "/files/kubelet").getheader("ETag") or ""
    assert get(server, "/files/kubelet", Range="bytes=4-", If_Range=tag).read() == b"let"


def test_a_file_of_the_wrong_size_is_not_sent(server: Server, bundle: Path) -> None:
    (bundle / "files" / "kubelet").write_bytes(b"kube")
    assert get(server, "/files/kubelet").status == 500


def test_a_mirror_gives_the_same_bundle(server: Server, tmp_path: Path, bundle: Path) -> None:
    target = tmp_path / "copy"
    files.write(target / "files" / "old", "from an earlier version")
    made = mirror.copy(server.url, target, quiet)
    assert made == manifest.load(target) == manifest.load(bundle)
    assert not (target / "files" / "old").exists()


def test_a_mirror_needs_an_address(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs the address"):
        mirror.copy("", tmp_path, quiet)


def test_a_damaged_mirror_leaves_no_manifest(server: Server, tmp_path: Path, bundle: Path) -> None:
    (bundle / "files" / "kubelet").write_bytes(b"kubeleT")
    with pytest.raises(PreflightRefused, match=r"kubelet from .* is damaged"):
        mirror.copy(server.url, tmp_path / "copy", quiet)
    assert not (tmp_path / "copy" / manifest.NAME).exists()


def test_an_incomplete_bundle_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a complete bundle"):
        Server(tmp_path, "127.0.0.1", free_port(), free_port()).start()


def test_a_missing_registry_is_named_with_the_command_that_installs_it(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "registry_program", lambda: None)
    with pytest.raises(PreflightRefused) as caught:
        Server(bundle).start()
    assert caught.value.hint == "apt-get install -y docker-registry"


def test_a_port_in_use_is_named(bundle: Path, registry_program: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PreflightRefused, match=rf"cannot serve on 127\.0\.0\.1 port {port}"):
            Server(bundle, "127.0.0.1", port, free_port()).start()


@pytest.mark.parametrize("address", ["192.0.2.77", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_no_port_in_use(bundle: Path, registry_program: Path, address: str) -> None:
    with pytest.raises(PreflightRefused) as refused:
        Server(bundle, address, free_port(), free_port()).start()
    assert refused.value.hint == "give one of this machine's own addresses with --address"


def test_a_registry_that_ends_is_an_error_with_its_words(bundle: Path, registry_program: Path) -> None:
    registry_program.write_text("#!/bin/sh\necho no such storage >&2\nexit 3\n")
    with pytest.raises(PreflightRefused, match="no such storage"):
        Server(bundle, "127.0.0.1", free_port(), free_port()).start()


def test_the_program_serves_until_it_is_told_to_stop(bundle: Path, registry_program: Path) -> None:
    ports = ["--http-port", str(free_port()), "--registry-port", str(free_port())]
    command = [sys.executable, "-m", "provision.bundle.serve", str(bundle), *ports]
    source = Path(serve.__file__).parents[2]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(source)}
    ) as running:
        assert running.stdout
        assert running.stdout.readline() == f"files and packages: http://127.0.0.1:{ports[1]}\n"
        assert running.stdout.readline() == f"images: 127.0.0.1:{ports[3]}\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(ports[3])), 1)


@pytest.mark.skipif(not serve.registry_program(), reason="docker-registry is not installed")
def test_a_real_registry_reads_the_images(bundle: Path) -> None:
    _, digest = make_image(bundle)
    manifest.prune(bundle, {path for path in bundle.rglob("*") if path.is_file()})
    with Server(bundle, "127.0.0.1", free_port(), free_port()) as running:
        connection = http.client.HTTPConnection(running.registry, timeout=5)
        connection.request(
            "GET", "/v2/group/thing/manifests/v1", headers={"Accept": "application/vnd.oci.image.index.v1+json"}
        )
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("Docker-Content-Digest") == digest
