from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from benchmarks import floor
from benchmarks.report import Figures, Ours, page


def _stored(storage: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    file = storage / "docker/registry/v2/blobs/sha256" / digest[:2] / digest / "data"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return f"sha256:{digest}"


def test_an_archive_of_images_is_complete_and_named(tmp_path: Path) -> None:
    blobs = {name: _stored(tmp_path, name.encode()) for name in ("config", "layer", "unused")}
    manifest = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"digest": blobs["config"]},
        "layers": [{"digest": blobs["layer"]}],
    }
    digest = _stored(tmp_path, json.dumps(manifest).encode())

    floor.write_archive(tmp_path, {"registry.k8s.io/pause:3": digest}, tmp_path / "out.tar")

    with tarfile.open(tmp_path / "out.tar") as archive:
        names = set(archive.getnames())
        stream = archive.extractfile("index.json")
        assert stream is not None
        index = json.load(stream)
    held = {each.replace(":", "/") for each in (digest, blobs["config"], blobs["layer"])}
    assert names == {"oci-layout", "index.json", *(f"blobs/{each}" for each in held)}
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "registry.k8s.io/pause:3"


def _ours(first: float) -> Ours:
    phases = {"Probe the machines": 4.0, "Verify the cluster": 6.5}
    return Ours(first, 12.4, 9.0, 23.3, 1.62, phases, {"cp1": 41, "cp2": 35, "w1": 21}, {"cp1": 1, "cp2": 3, "w1": 1})


def test_the_page_compares_with_the_floor_and_the_limits() -> None:
    text = page(Figures([_ours(80), _ours(90)], [60, 60]), ["cp1", "cp2"])
    assert "| first `provision cluster --yes`, s | 80 | 90 | 85 | 90 |" in text
    assert "| first run / floor | 1.33 | 1.50 | 1.42 | 1.5 |" in text
    assert "packages, s | 23.3 | 23.3 | 23.3 | 25 |" in text
    assert "| evaluated tasks, a control plane | 41 | 120 |" in text
    assert "| skipped, % | 5.2 | 15 |" in text
    assert "| Verify the cluster | 6.5 | 6.5 |" in text


def test_without_the_floor_the_page_says_nothing_of_it() -> None:
    text = page(Figures([_ours(80)]), ["cp1", "cp2"])
    assert "floor" not in text


@pytest.mark.parametrize("line", ["", "  63.1 s  all joined\n"])
def test_a_floor_without_a_total_is_an_error(line: str, tmp_path: Path) -> None:
    script = tmp_path / "floor.sh"
    script.write_text(f"printf '{line}'")
    with pytest.raises(RuntimeError, match="failed"):
        floor.run(script, tmp_path, tmp_path / "key", "10.0.0.1", ["10.0.0.2"], [])


def test_the_floors_total_is_taken(tmp_path: Path) -> None:
    script = tmp_path / "floor.sh"
    script.write_text('echo "  64.2 s  every node Ready: total"; [ "$MASTERS" = "10.0.0.2 10.0.0.3" ]')
    assert floor.run(script, tmp_path, tmp_path / "key", "10.0.0.1", ["10.0.0.2", "10.0.0.3"], []) == 64.2
