from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from provision.bundle import files, manifest, oci
from provision.bundle.oci import Layer, Storage


def test_a_block_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with files.replacing(path) as stream:
            stream.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_copy_is_made_only_when_it_is_needed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    source.write_bytes(b"content")
    files.copy(source, target)
    first = target.stat().st_ino
    files.copy(source, target)
    assert target.stat().st_ino == first
    target.write_bytes(b"CONTENT")
    files.copy(source, target)
    assert target.read_bytes() == b"content"
    assert target.stat().st_nlink == 1


def test_an_archive_is_the_same_every_time(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"program")
    members = {"bin/b": tmp_path / "a", "bin/a": tmp_path / "a"}
    files.write_tar_gz(tmp_path / "one.tgz", members)
    (tmp_path / "a").touch()
    files.write_tar_gz(tmp_path / "two.tgz", dict(reversed(members.items())))
    assert (tmp_path / "one.tgz").read_bytes() == (tmp_path / "two.tgz").read_bytes()
    with tarfile.open(tmp_path / "one.tgz") as archive:
        assert archive.getnames() == ["bin/a", "bin/b"]
        assert archive.getmember("bin/a").mode == 0o755


def test_pruning_keeps_what_belongs_and_the_manifest(tmp_path: Path) -> None:
    for name in ("files/kept", "files/old", "empty/below/old.part", manifest.NAME):
        files.write(tmp_path / name, "x")
    manifest.prune(tmp_path, {tmp_path / "files" / "kept"})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "files",
        "files/kept",
        manifest.NAME,
    ]


def make_image(root: Path, arches: tuple[str, ...] = ("amd64", "arm64")) -> tuple[Storage, str]:
    root.mkdir(parents=True, exist_ok=True)
    program = root / "program"
    program.write_bytes(b"#!")
    storage = Storage(root / "images")
    layers = {}
    for arch in arches:
        layers[arch] = root / f"layer-{arch}"
        oci.write_layer(layers[arch], {"usr/bin/program": program}, lambda layer: layer.add_link("bin", "usr/bin"))
    settings = oci.runtime_settings(["program"], ["run"], "65535:65535")
    return storage, oci.write_image(storage, "registry.k8s.io/group/thing:v1", layers, settings, {"a": "b"})


def test_an_image_has_the_same_digest_every_time(tmp_path: Path) -> None:
    assert make_image(tmp_path / "one")[1] == make_image(tmp_path / "two")[1]


def test_an_image_is_stored_as_a_registry_keeps_it(tmp_path: Path) -> None:
    storage, digest = make_image(tmp_path)
    home = storage.root / "repositories" / "group" / "thing"
    assert (home / "_manifests" / "tags" / "v1" / "current" / "link").read_text() == digest
    for link in home.rglob("link"):
        content = storage.blob_path(link.read_text())
        assert files.matches(content, link.read_text().removeprefix("sha256:"))
    everything = {path for path in storage.root.rglob("*") if path.is_file()}
    assert everything == storage.used


def test_a_layer_has_each_path_once(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "layer", "w") as archive:
        layer = Layer(archive)
        layer.add_link("bin", "usr/bin")
        layer.add_link("bin", "elsewhere")
    with tarfile.open(tmp_path / "layer") as archive:
        names = archive.getnames()
        assert len(names) == len(set(names))
        assert archive.getmember("bin").linkname == "usr/bin"
        assert archive.getmember("tmp").mode == 0o1777
