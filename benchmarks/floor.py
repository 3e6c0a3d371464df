"""The floor: a bring-up written by hand, fed with the same files that the bundle serves."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PROGRAMS = {
    "containerd": ("containerd", "containerd-shim-runc-v2", "ctr"),
    "crictl": ("crictl",),
    "etcd": ("etcd", "etcdctl"),
}
_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
_WORKER_IMAGES = ("pause", "kube-proxy", "coredns")
_TOTAL = re.compile(r"^\s*([\d.]+) s\s+every node Ready: total", re.MULTILINE)


def make_artifacts(bundle: Path, directory: Path) -> None:
    """Lay the bundle's files out as the script wants them: bin/, cni/, img/cp.tar and img/worker.tar."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    files = {name: bundle / entry["amd64"]["path"] for name, entry in manifest["artifacts"].items()}
    programs, plugins, images = directory / "bin", directory / "cni", directory / "img"
    for place in (programs, plugins, images):
        place.mkdir(parents=True)
    for name in ("kubeadm", "kubelet", "kubectl", "runc"):
        shutil.copy(files[name], programs / name)
        (programs / name).chmod(0o755)
    for name, members in _PROGRAMS.items():
        _unpack(files[name], members, programs)
    _unpack(files["cni_plugins"], _PLUGINS, plugins)
    wanted = {ref: entry["digest"] for ref, entry in manifest["images"].items()}
    on_workers = {ref: digest for ref, digest in wanted.items() if re.search(rf"/({'|'.join(_WORKER_IMAGES)}):", ref)}
    write_archive(bundle / "images", on_workers, images / "worker.tar")
    write_archive(bundle / "images", {ref: wanted[ref] for ref in wanted if "/kube-" in ref}, images / "cp.tar")


def _unpack(archive: Path, names: tuple[str, ...], target: Path) -> None:
    with tarfile.open(archive) as stream:
        for member in stream:
            name = Path(member.name).name
            if member.isfile() and name in names:
                content = stream.extractfile(member)
                assert content is not None
                (target / name).write_bytes(content.read())
                (target / name).chmod(0o755)


def write_archive(storage: Path, images: Mapping[str, str], target: Path) -> None:
    """Write images of a registry's storage as one archive that containerd imports under their full names."""
    index = {"schemaVersion": 2, "manifests": [_entry(storage, ref, digest) for ref, digest in images.items()]}
    blobs = {digest for wanted in images.values() for digest in _reachable(storage, wanted)}
    with tarfile.open(target, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for digest in sorted(blobs):
            archive.add(_blob(storage, digest), f"blobs/{digest.replace(':', '/')}")


def _entry(storage: Path, ref: str, digest: str) -> Mapping[str, Any]:
    blob = _blob(storage, digest)
    kind = json.loads(blob.read_text(encoding="utf-8"))["mediaType"]
    names = {"io.containerd.image.name": ref}
    return {"mediaType": kind, "digest": digest, "size": blob.stat().st_size, "annotations": names}


def _reachable(storage: Path, digest: str) -> Iterator[str]:
    """A manifest and all that it names."""
    yield digest
    manifest = json.loads(_blob(storage, digest).read_text(encoding="utf-8"))
    for inner in manifest.get("manifests", []):
        yield from _reachable(storage, inner["digest"])
    if "config" in manifest:
        yield from (entry["digest"] for entry in (manifest["config"], *manifest["layers"]))


def _blob(storage: Path, digest: str) -> Path:
    kind, value = digest.split(":")
    return storage / "docker/registry/v2/blobs" / kind / value[:2] / value / "data"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def run(script: Path, artifacts: Path, key: Path, vip: str, control_planes: list[str], workers: list[str]) -> float:
    """Run the script on fresh nodes; returns the seconds that it says it took. Raises when it fails."""
    environment = {
        **os.environ,
        "ARTIFACTS": str(artifacts),
        "KEY": str(key),
        "VIP": vip,
        "MASTERS": " ".join(control_planes),
        "WORKERS": " ".join(workers),
    }
    done = subprocess.run(["bash", script], capture_output=True, text=True, check=False, env=environment)
    found = _TOTAL.search(done.stdout)
    if done.returncode or not found:
        raise RuntimeError(f"{script} failed ({done.returncode}):\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return float(found[1])
