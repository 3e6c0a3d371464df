"""An API server ends its requests before a kubelet of another minor version, which would kill it, comes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from .module_runner import ModuleRunner, load


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module on a control plane whose kubelet is of 1.35."""
    loaded = load("api_server_end")
    monkeypatch.setattr(loaded, "MANIFEST", str(tmp_path / "kube-apiserver.yaml"))
    (tmp_path / "kube-apiserver.yaml").touch()
    monkeypatch.setattr(loaded, "run", lambda *_words: "Kubernetes v1.35.4\n")
    return loaded


@pytest.fixture
def server(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A process that passes for an API server."""
    with subprocess.Popen(["sleep", "600"]) as process:
        monkeypatch.setattr(module, "processes", lambda _name: [] if process.poll() is not None else [process.pid])
        yield process
        process.kill()


def test_another_minor_version_ends_it(run: ModuleRunner, module: ModuleType, server: subprocess.Popen[bytes]) -> None:
    planned = run(module, version="1.36.4", check=True)
    assert (planned["changed"], server.poll()) == (True, None)
    done = run(module, version="1.36.4")
    assert done["ended"] is True
    assert server.wait() == -15
    assert run(module, version="1.36.4")["changed"] is False, "a worker has none"


def test_a_patch_leaves_it_alone(run: ModuleRunner, module: ModuleType, server: subprocess.Popen[bytes]) -> None:
    assert run(module, version="1.35.9")["changed"] is False
    assert server.poll() is None


def test_an_api_server_that_is_no_static_pod_is_left_alone(
    run: ModuleRunner, module: ModuleType, server: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (tmp_path / "kube-apiserver.yaml").unlink()
    assert run(module, version="1.36.4")["changed"] is False
    assert server.poll() is None


def test_one_that_stays_is_told(
    run: ModuleRunner, module: ModuleType, server: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as deaf:
        deaf.setattr(module.os, "kill", lambda *_: None)
        assert "it still runs" in run(module, version="1.36.4", timeout=0)["msg"]
    assert server.poll() is None


def test_processes_are_found_by_their_name(tmp_path: Path) -> None:
    program = tmp_path / "kube-controller-manager"
    program.symlink_to("/bin/sleep")
    module = load("api_server_end")
    found = module.processes
    with subprocess.Popen([program, "600"]) as process:
        try:
            # The kernel lets the parent go on a moment before it gives the child its name.
            unnamed = module.wait_until(lambda: None if process.pid in found(program.name) else "no such name", 10)
        finally:
            process.kill()
    assert unnamed is None
    assert process.pid not in found(program.name)
