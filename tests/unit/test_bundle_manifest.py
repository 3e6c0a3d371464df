from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from provision import render
from provision.bundle import files, manifest, verify
from provision.bundle.manifest import ArtifactFile, ImageEntry, Manifest, PackageEntry
from provision.cli.bundle import app
from provision.errors import InvalidInput, PreflightRefused


@pytest.fixture(autouse=True)
def _text_again() -> Iterator[None]:
    yield
    render.configure(format="text")


def make(directory: Path) -> Manifest:
    """A tiny bundle."""
    files.write(directory / "files" / "kubelet", b"kubelet")
    files.write(directory / "files" / "kubeadm", b"kubeadm")
    found = manifest.inventory(directory, [directory / "files" / "kubelet", directory / "files" / "kubeadm"])
    kubelet = found["files/kubelet"]
    made = Manifest(
        kubernetes="1.36.4",
        arch=("amd64",),
        created="2026-11-21T08:00:00+00:00",
        source="build",
        distributions=("debian-13",),
        artifacts={"kubelet": {"amd64": ArtifactFile("1.36.4", "files/kubelet", kubelet.sha256, kubelet.size)}},
        images={"registry.k8s.io/pause:3.10.2": ImageEntry("pause", "3.10.2", "sha256:0")},
        packages=(PackageEntry("debian-13", "curl", "8", "amd64"),),
        files=found,
    )
    made.write(directory)
    return made


def test_a_manifest_reads_as_it_was_written(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert manifest.load(tmp_path) == made
    document = json.loads((tmp_path / manifest.NAME).read_text())
    assert document["format"] == 1
    assert document["artifacts"]["kubelet"]["version"] == "1.36.4"
    assert document["artifacts"]["kubelet"]["amd64"]["path"] == "files/kubelet"


def test_a_directory_without_a_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a complete bundle"):
        manifest.load(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 2}'])
def test_a_damaged_manifest_is_named(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        manifest.parse(text, "http://mirror/manifest.json")
    assert "http://mirror/manifest.json" in str(caught.value)


@pytest.mark.parametrize("path", ["/etc/passwd", "files/../../etc/passwd"])
def test_a_manifest_cannot_name_places_outside(tmp_path: Path, path: str) -> None:
    document = make(tmp_path).as_dict()
    document["files"] = {path: {"sha256": "0", "size": 1}}
    with pytest.raises(InvalidInput, match="outside the bundle"):
        manifest.parse(json.dumps(document), "manifest.json")


def test_a_whole_bundle_has_no_problems(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert verify.verify(tmp_path) == (made, ())
    assert verify.require(tmp_path) == made


def test_a_flipped_byte_and_a_missing_file_are_named(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "files" / "kubelet").write_bytes(b"kubeleT")
    (tmp_path / "files" / "kubeadm").unlink()
    with pytest.raises(PreflightRefused) as caught:
        verify.require(tmp_path)
    assert "files/kubelet is damaged" in caught.value.message
    assert "files/kubeadm is missing" in caught.value.message
    assert caught.value.hint
    assert "--source build" in caught.value.hint


def test_only_touched_files_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, memory = tmp_path / "bundle", tmp_path / "memory.json"
    make(bundle)
    verify.require(bundle, memory)
    read: list[str] = []
    check = verify._check
    monkeypatch.setattr(verify, "_check", lambda *found: read.append(found[1]) or check(*found))
    verify.require(bundle, memory)
    assert read == []
    times = (bundle / "files" / "kubelet").stat()
    (bundle / "files" / "kubelet").write_bytes(b"kubeleT")
    os.utime(bundle / "files" / "kubelet", ns=(times.st_atime_ns, times.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(PreflightRefused, match="files/kubelet is damaged"):
            verify.require(bundle, memory)
    assert read == ["files/kubelet", "files/kubelet"]


def test_a_shortened_file_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "files" / "kubelet").write_bytes(b"kube")
    (problem,) = verify.verify(tmp_path)[1]
    assert str(problem) == "files/kubelet is damaged: 4 bytes instead of 7"


def test_the_command_lists_problems_as_json_and_exits_with_4(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "files" / "kubelet").write_bytes(b"kubeleT")
    done = CliRunner().invoke(app, ["verify", "--directory", str(tmp_path), "--output", "json"])
    assert done.exit_code == 4
    assert [problem["path"] for problem in json.loads(done.stdout)["problems"]] == ["files/kubelet"]


def test_the_command_refuses_two_names_for_a_bundle(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["verify", "--directory", str(tmp_path), "--version", "1.36.4"])
    assert done.exit_code != 0
    assert "twice" in str(done.exception)
