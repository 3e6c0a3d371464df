"""What a machine installs comes from upstream, or from a bundle with the bundle's own digests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision import catalog, material
from provision.errors import InvalidInput

KNOWN = catalog.load()
VERSION = KNOWN.default_version


def test_without_a_bundle_every_artifact_has_its_upstream_and_checksum() -> None:
    for arch in catalog.ARCHITECTURES:
        found = material.artifacts(KNOWN, VERSION, arch, None, "")
        assert found["kubelet"]["url"].startswith("https://")
        assert arch in found["kubelet"]["url"]
        assert all(len(entry["sha256"]) == 64 for entry in found.values())


def test_with_a_bundle_it_comes_from_the_mirror_with_the_bundles_digest() -> None:
    held = {"artifacts": {"kubelet": {"version": "9", "amd64": {"path": "files/kubelet-9", "sha256": "ab" * 32}}}}
    kubelet = material.artifacts(KNOWN, VERSION, "amd64", held, "http://mirror:8080/")["kubelet"]
    assert (kubelet["url"], kubelet["sha256"], kubelet["version"]) == (
        "http://mirror:8080/files/kubelet-9",
        "ab" * 32,
        "9",
    )


def test_what_a_bundle_lacks_cannot_be_installed() -> None:
    assert material.artifacts(KNOWN, VERSION, "amd64", {"artifacts": {}}, "http://m")["etcd"]["sha256"] == ""


def test_a_bundles_images_bring_their_digests() -> None:
    pause = material.images(KNOWN, VERSION, None)["pause"]
    assert pause["digest"] == ""
    held = {"images": {pause["ref"]: {"digest": "sha256:1"}}}
    assert material.images(KNOWN, VERSION, held)["pause"] == {"ref": pause["ref"], "digest": "sha256:1"}


def test_a_bundle_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cluster_bundle"):
        material.manifest(str(tmp_path))
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 1}))
    assert material.manifest(str(tmp_path)) == {"format": 1}
    assert material.manifest("") is None
