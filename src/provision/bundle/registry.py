"""Pulls images from a registry into a bundle's storage, blob by blob, each checked by its digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from provision.bundle import fetch, oci
from provision.bundle.fetch import Download
from provision.bundle.manifest import ImageEntry
from provision.bundle.oci import Storage
from provision.errors import HostUnreachable, InvalidInput, PreflightRefused
from provision.render import Bars

_INDEXES = (oci.INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = (oci.MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
_HUB = {"docker.io": "registry-1.docker.io"}


def pull(ref: str, arches: Sequence[str], storage: Storage, bars: Bars) -> ImageEntry:
    """Pulls an image for some architectures; blobs that are there already stay.

    Raises HostUnreachable (not there), PreflightRefused (damaged) or InvalidInput (not made for an architecture).
    """
    host, repository, tag = oci.split(ref)
    source = _Repository(host, repository)
    content = source.manifest(tag)
    top = json.loads(content)
    stored = storage.add_bytes(content, top.get("mediaType", ""))
    if "manifests" in top:
        for digest in _platforms(ref, top, arches):
            child = source.manifest(digest)
            storage.add_bytes(child, "")
            storage.link_manifest(repository, digest)
            _pull_blobs(source, json.loads(child), storage, bars)
    else:
        _pull_blobs(source, top, storage, bars)
    storage.link_manifest(repository, stored.digest)
    storage.tag(repository, tag, stored.digest)
    return ImageEntry(repository=repository, tag=tag, digest=stored.digest)


def _platforms(ref: str, index: dict[str, Any], arches: Sequence[str]) -> list[str]:
    found = {
        entry["platform"]["architecture"]: entry["digest"]
        for entry in index["manifests"]
        if entry.get("platform", {}).get("os") == "linux"
    }
    if absent := [arch for arch in arches if arch not in found]:
        raise InvalidInput(f"{ref} is not made for {', '.join(absent)}")
    return [found[arch] for arch in arches]


def _pull_blobs(source: _Repository, manifest: dict[str, Any], storage: Storage, bars: Bars) -> None:
    for blob in (manifest["config"], *manifest["layers"]):
        fetch.fetch(source.blob(blob["digest"], blob["size"], storage), bars)
        storage.link_layer(source.name, blob["digest"])


class _Repository:
    """One repository of a registry, with the anonymous token that it hands out."""

    def __init__(self, host: str, name: str) -> None:
        self.name = name
        # Registries on this machine have no certificate; every client makes this exception.
        scheme = "http" if re.match(r"(localhost|127\.\d+\.\d+\.\d+)(:|$)", host) else "https"
        self._base = f"{scheme}://{_HUB.get(host, host)}/v2/{name}"
        self._headers: dict[str, str] = {}

    def manifest(self, reference: str) -> bytes:
        """The manifest or index of a tag, or of a digest, which it must then have."""
        url, accept = f"{self._base}/manifests/{reference}", ", ".join((*_INDEXES, *_MANIFESTS))
        answer = fetch.read(url, {"Accept": accept, **self._headers}, accept=(401,))
        if answer.status == 401:
            self._headers = {"Authorization": f"Bearer {_token(answer.headers.get('www-authenticate', ''), url)}"}
            answer = fetch.read(url, {"Accept": accept, **self._headers})
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        expected = reference if ":" in reference else answer.headers.get("docker-content-digest", digest)
        if digest != expected:
            raise PreflightRefused(f"{url} is damaged: {digest}, expected {expected}")
        return answer.content

    def blob(self, digest: str, size: int, storage: Storage) -> Download:
        """The download of a layer or config to its place in the storage."""
        path = storage.keep_blob(digest)
        return Download(
            f"{self._base}/blobs/{digest}", path, digest.partition(":")[2], size, self._headers, label=digest[7:19]
        )


def _token(challenge: str, url: str) -> str:
    fields = dict(_fields(challenge))
    if not challenge.startswith("Bearer") or "realm" not in fields:
        raise HostUnreachable(f"{url} asks for a login that is not supported: {challenge or 'no challenge'}")
    realm = fields.pop("realm")
    data = json.loads(fetch.read(f"{realm}?{urlencode(fields)}").content)
    return str(data.get("token") or data.get("access_token", ""))


def _fields(challenge: str) -> Iterator[tuple[str, str]]:
    for found in re.finditer(r'(\w+)="([^"]*)"', challenge):
        yield found[1], found[2]
