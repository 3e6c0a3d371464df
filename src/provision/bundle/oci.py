"""Container images without a daemon: a layer, a config and a manifest, stored the way a registry keeps them.

The directory is what `docker-registry` (distribution) reads as its file system storage, so it serves it as it is.
Everything is deterministic: the same files give the same digests.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from provision.bundle import files

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_USERS = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
_GROUP = "root:x:0:\nnobody:x:65534:\n"
_NSSWITCH = "hosts: files dns\n"


def split(ref: str) -> tuple[str, str, str]:
    """A complete reference as (registry host, repository, tag): registry.k8s.io/pause:3.10.2."""
    host, _, rest = ref.partition("/")
    repository, _, tag = rest.rpartition(":")
    return host, repository, tag


@dataclass(frozen=True)
class Descriptor:
    """A blob as manifests point at it. `digest` has its "sha256:" prefix."""

    media_type: str
    digest: str
    size: int

    def as_dict(self) -> dict[str, Any]:
        """The entry in a manifest or index."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


class Storage:
    """A registry's directory (`<bundle>/images`)."""

    def __init__(self, root: Path) -> None:
        self.root = root / "docker" / "registry" / "v2"
        self.used: set[Path] = set()
        """The files that the images written or kept in this run consist of; the rest is left over from earlier."""

    def blob_path(self, digest: str) -> Path:
        """Where the blob with this digest ("sha256:…") is kept."""
        algorithm, _, value = digest.partition(":")
        return self.root / "blobs" / algorithm / value[:2] / value / "data"

    def keep_blob(self, digest: str) -> Path:
        """Where a blob goes that is fetched straight into the storage."""
        path = self.blob_path(digest)
        self.used.add(path)
        return path

    def add_bytes(self, content: bytes, media_type: str) -> Descriptor:
        """Stores a document."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._write(self.blob_path(digest), content)
        return Descriptor(media_type, digest, len(content))

    def add_file(self, source: Path, media_type: str) -> Descriptor:
        """Moves a finished file of the same file system into the storage."""
        found = files.digest(source)
        digest = f"sha256:{found.sha256}"
        target = self.blob_path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        self.used.add(target)
        return Descriptor(media_type, digest, found.size)

    def link_layer(self, repository: str, digest: str) -> None:
        """Makes a layer or config blob pullable from a repository."""
        self._write(self._repository(repository) / "_layers" / _below(digest) / "link", digest)

    def link_manifest(self, repository: str, digest: str) -> None:
        """Makes a manifest pullable by digest."""
        self._write(self._repository(repository) / "_manifests" / "revisions" / _below(digest) / "link", digest)

    def tag(self, repository: str, tag: str, digest: str) -> None:
        """Points a tag at a manifest or index."""
        home = self._repository(repository) / "_manifests" / "tags" / tag
        self._write(home / "index" / _below(digest) / "link", digest)
        self._write(home / "current" / "link", digest)

    def _write(self, path: Path, content: bytes | str) -> None:
        files.write(path, content)
        self.used.add(path)

    def _repository(self, name: str) -> Path:
        return self.root / "repositories" / name


def _below(digest: str) -> str:
    return digest.replace(":", "/")


def document(content: Mapping[str, Any]) -> bytes:
    """JSON in one canonical form, so that the digest depends on the meaning alone."""
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


class Layer:
    """A layer being written: each path once, everything root's, nothing with a time."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._names: set[str] = set()
        self.add(_entry("etc", tarfile.DIRTYPE, 0o755))
        self.add(_entry("tmp", tarfile.DIRTYPE, 0o1777))
        for name, text in (("etc/passwd", _USERS), ("etc/group", _GROUP), ("etc/nsswitch.conf", _NSSWITCH)):
            entry = _entry(name, tarfile.REGTYPE, 0o644)
            entry.size = len(text)
            self.add(entry, BytesIO(text.encode()))

    def add(self, entry: tarfile.TarInfo, content: IO[bytes] | None = None) -> None:
        """Adds an entry unless its path is there already: unpackers refuse a path that comes twice."""
        if entry.name not in self._names:
            self._names.add(entry.name)
            entry.mtime, entry.uname, entry.gname = 0, "", ""
            self._archive.addfile(entry, content)

    def add_program(self, name: str, source: Path) -> None:
        """Adds an executable file."""
        entry = _entry(name, tarfile.REGTYPE, 0o755)
        entry.size = source.stat().st_size
        with source.open("rb") as stream:
            self.add(entry, stream)

    def add_link(self, name: str, target: str) -> None:
        """Adds a symbolic link."""
        entry = _entry(name, tarfile.SYMTYPE, 0o777)
        entry.linkname = target
        self.add(entry)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def write_layer(path: Path, programs: Mapping[str, Path], extra: Callable[[Layer], None] | None = None) -> None:
    """An uncompressed layer: what every image of ours has, `extra` (for example packages), then the programs.

    Uncompressed because nodes pull it from the next machine: the network is faster than gunzip.
    """
    with files.replacing(path) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        layer = Layer(archive)
        if extra:
            extra(layer)
        for name in sorted(programs):
            layer.add_program(name, programs[name])


def write_image(
    storage: Storage, ref: str, layers: Mapping[str, Path], settings: Mapping[str, Any], labels: Mapping[str, str]
) -> str:
    """Stores an image made of one layer file for each architecture (the files move); returns the tag's digest.

    `settings` are the runtime settings of the OCI config, for example Entrypoint.
    """
    _, repository, tag = split(ref)
    manifests = []
    for arch in sorted(layers):
        manifest = _write_manifest(
            storage, repository, arch, layers[arch], {"Env": [_PATH], **settings, "Labels": dict(labels)}
        )
        manifests.append({**manifest.as_dict(), "platform": {"architecture": arch, "os": "linux"}})
    index = storage.add_bytes(document({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}), INDEX)
    storage.link_manifest(repository, index.digest)
    storage.tag(repository, tag, index.digest)
    return index.digest


def _write_manifest(
    storage: Storage, repository: str, arch: str, layer_file: Path, settings: Mapping[str, Any]
) -> Descriptor:
    layer = storage.add_file(layer_file, LAYER)
    config = storage.add_bytes(
        document(
            {
                "architecture": arch,
                "os": "linux",
                "config": settings,
                "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
                "history": [{"created_by": "provision bundle"}],
            }
        ),
        CONFIG,
    )
    manifest = storage.add_bytes(
        document({"schemaVersion": 2, "mediaType": MANIFEST, "config": config.as_dict(), "layers": [layer.as_dict()]}),
        MANIFEST,
    )
    for blob in (layer, config):
        storage.link_layer(repository, blob.digest)
    storage.link_manifest(repository, manifest.digest)
    return manifest


def runtime_settings(entrypoint: Sequence[str], command: Sequence[str], user: str) -> dict[str, Any]:
    """The part of the OCI config that says what runs; empty parts are left out."""
    settings: dict[str, Any] = {"Entrypoint": list(entrypoint), "WorkingDir": "/"}
    if command:
        settings["Cmd"] = list(command)
    if user:
        settings["User"] = user
    return settings
