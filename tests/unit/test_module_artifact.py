"""The `artifact` module: nothing unverified is ever placed, and a second run downloads nothing."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from .module_runner import ModuleRunner, load


class Quiet(SimpleHTTPRequestHandler):
    """Serves a directory and counts what is asked for."""

    requests: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: Any) -> None:
        Quiet.requests.append(self.path)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    directory = tmp_path / "upstream"
    directory.mkdir()
    Quiet.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield directory, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load("artifact")
    monkeypatch.setattr(loaded, "HOME", str(tmp_path / "records"))
    monkeypatch.setattr(loaded.time, "sleep", lambda seconds: None)
    return loaded


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def item(upstream: tuple[Path, str], name: str, data: bytes, *install: dict[str, Any]) -> dict[str, Any]:
    directory, url = upstream
    (directory / name).write_bytes(data)
    return {
        "name": name,
        "version": "1.0",
        "url": f"{url}/{name}",
        "sha256": hashlib.sha256(data).hexdigest(),
        "install": list(install),
    }


def test_installs_a_plain_file_once(
    run: ModuleRunner, module: ModuleType, upstream: tuple[Path, str], tmp_path: Path
) -> None:
    dest = tmp_path / "bin" / "tool"
    wanted = item(upstream, "tool", b"#!tool", {"dest": str(dest), "mode": "0755"})
    assert run(module, items=[wanted])["installed"] == [str(dest)]
    assert dest.read_bytes() == b"#!tool"
    assert dest.stat().st_mode & 0o777 == 0o755
    assert not run(module, items=[wanted])["changed"]
    assert len(Quiet.requests) == 1


def test_takes_members_and_whole_archives(
    run: ModuleRunner, module: ModuleType, upstream: tuple[Path, str], tmp_path: Path
) -> None:
    data = archive({"v1/etcd": b"server", "v1/etcdctl": b"client", "v1/doc/a": b"text"})
    one = item(upstream, "one", data, {"member": "v1/etcd", "dest": str(tmp_path / "etcd")})
    whole = item(upstream, "whole", data, {"dest": f"{tmp_path}/all/", "strip": 1})
    run(module, items=[one, whole])
    assert (tmp_path / "etcd").read_bytes() == b"server"
    assert (tmp_path / "all" / "doc" / "a").read_bytes() == b"text"


def test_a_member_that_leaves_the_target_is_left_out(
    run: ModuleRunner, module: ModuleType, upstream: tuple[Path, str], tmp_path: Path
) -> None:
    wanted = item(
        upstream, "evil", archive({"../escaped": b"x", "good": b"y"}), {"dest": f"{tmp_path}/in/", "strip": 0}
    )
    run(module, items=[wanted])
    assert not (tmp_path / "escaped").exists()
    assert (tmp_path / "in" / "good").exists()


def test_a_flipped_byte_places_nothing_and_names_the_file(
    run: ModuleRunner, module: ModuleType, upstream: tuple[Path, str], tmp_path: Path
) -> None:
    wanted = item(upstream, "tool", b"right", {"dest": str(tmp_path / "tool")})
    (upstream[0] / "tool").write_bytes(b"wrong")
    result = run(module, items=[wanted])
    assert result["failed"]
    assert "tool:" in result["msg"]
    assert wanted["sha256"] in result["msg"]
    assert not (tmp_path / "tool").exists()
    assert list((tmp_path / "records").iterdir()) == []


def test_a_changed_file_on_the_node_is_installed_again(
    run: ModuleRunner, module: ModuleType, upstream: tuple[Path, str], tmp_path: Path
) -> None:
    wanted = item(upstream, "tool", b"right", {"dest": str(tmp_path / "tool")})
    run(module, items=[wanted])
    (tmp_path / "tool").write_bytes(b"tampered")
    assert run(module, check=True, items=[wanted])["changed"]
    assert (tmp_path / "tool").read_bytes() == b"tampered"
    run(module, items=[wanted])
    assert (tmp_path / "tool").read_bytes() == b"right"


def test_nothing_is_installed_without_a_checksum(
    run: ModuleRunner, module: ModuleType, upstream: tuple[Path, str], tmp_path: Path
) -> None:
    wanted = {**item(upstream, "tool", b"x", {"dest": str(tmp_path / "tool")}), "sha256": ""}
    assert "no SHA-256 is known for tool" in run(module, items=[wanted])["msg"]
    assert Quiet.requests == []


def test_removes_what_it_installed_and_is_quiet_the_second_time(
    run: ModuleRunner, module: ModuleType, upstream: tuple[Path, str], tmp_path: Path
) -> None:
    wanted = item(upstream, "tool", b"x", {"dest": str(tmp_path / "tool")})
    run(module, items=[wanted])
    assert run(module, items=[wanted], state="absent")["changed"]
    assert not (tmp_path / "tool").exists()
    assert not run(module, items=[wanted], state="absent")["changed"]


def test_a_download_waits_until_it_is_installed(
    run: ModuleRunner, module: ModuleType, upstream: tuple[Path, str], tmp_path: Path
) -> None:
    dest = tmp_path / "bin" / "tool"
    wanted = item(upstream, "tool", b"#!new", {"dest": str(dest)})
    assert run(module, items=[wanted], state="downloaded", check=True)["changed"]
    fetched = run(module, items=[wanted], state="downloaded")
    assert (fetched["changed"], fetched["installed"], dest.exists()) == (True, [], False)
    assert not run(module, items=[wanted], state="downloaded")["changed"]
    assert run(module, items=[wanted])["installed"] == [str(dest)]
    assert len(Quiet.requests) == 1
    assert not run(module, items=[wanted], state="downloaded")["changed"]
    assert len(Quiet.requests) == 1
