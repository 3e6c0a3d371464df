"""Reads rendered files with the programs of this machine; kubeadm, containerd and etcd are those of the bundle."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path

from provision import catalog, paths

# Program -> the artifact that holds it.
_PROGRAMS = {"kubeadm": "kubeadm", "kubelet": "kubelet", "containerd": "containerd", "etcd": "etcd", "etcdctl": "etcd"}


def _programs_of(bundle: Path) -> Path:
    """A directory with the bundle's programs, unpacked once for each bundle."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    digests = {name: manifest["artifacts"][artifact]["amd64"]["sha256"] for name, artifact in _PROGRAMS.items()}
    directory = paths.cache_home() / "tests" / "programs"
    record = directory / "digests.json"
    if record.exists() and json.loads(record.read_text(encoding="utf-8")) == digests:
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name, artifact in _PROGRAMS.items():
        _install(bundle / manifest["artifacts"][artifact]["amd64"]["path"], directory / name)
    record.write_text(json.dumps(digests), encoding="utf-8")
    return directory


def _install(source: Path, target: Path) -> None:
    if not source.name.endswith(".tar.gz"):
        shutil.copy(source, target)
    else:
        with tarfile.open(source) as archive:
            member = next(each for each in archive if each.isfile() and Path(each.name).name == target.name)
            content = archive.extractfile(member)
            assert content is not None
            target.write_bytes(content.read())
    target.chmod(0o755)


_BUNDLE = paths.cache_home() / "bundle" / catalog.load().default_version
if (_BUNDLE / "manifest.json").exists():
    os.environ["PATH"] += f"{os.pathsep}{_programs_of(_BUNDLE)}"
