from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from provision.bundle import fetch, files, registry
from provision.bundle.oci import INDEX, MANIFEST, Storage
from provision.errors import HostUnreachable, InvalidInput, PreflightRefused
from tests.unit.bundle_servers import Bars, Site, send, site


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.time, "sleep", lambda _: None)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def blob(content: bytes) -> dict[str, Any]:
    return {"digest": digest_of(content), "size": len(content)}


class Image:
    """An image for two architectures, as a registry has it."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        platforms = [self._platform(arch) for arch in ("amd64", "arm64")]
        platforms.append({"digest": "sha256:attestation", "platform": {"os": "unknown", "architecture": "unknown"}})
        index = json.dumps({"mediaType": INDEX, "manifests": platforms}).encode()
        self.documents["v1"] = index
        self.digest = digest_of(index)

    def _platform(self, arch: str) -> dict[str, Any]:
        config, layer = f"config {arch}".encode(), f"layer {arch}".encode()
        self.blobs |= {digest_of(config): config, digest_of(layer): layer}
        content = json.dumps({"mediaType": MANIFEST, "config": blob(config), "layers": [blob(layer)]}).encode()
        self.documents[digest_of(content)] = content
        return {"digest": digest_of(content), "platform": {"os": "linux", "architecture": arch}}

    def answer(self, handler: Any) -> None:
        """With a token that is handed out to anyone, like the public registries."""
        path = handler.path
        if path.startswith("/token"):
            return send(handler, b'{"token": "secret"}')
        if handler.headers.get("Authorization") != "Bearer secret":
            realm = f"http://{handler.headers['Host']}/token"
            return send(handler, b"", 401, WWW_Authenticate=f'Bearer realm="{realm}",service="here",scope="pull"')
        found = {**self.documents, **self.blobs}.get(path.rpartition("/")[2])
        return send(handler, found or b"", 200 if found else 404)


@contextmanager
def hosted(answer: Callable[[Any], None]) -> Iterator[tuple[Site, str]]:
    with site(answer) as running:
        yield running, f"{running.url.removeprefix('http://')}/group/thing:v1"


def test_an_image_keeps_its_digest_and_brings_only_the_platforms_asked_for(tmp_path: Path) -> None:
    image, storage = Image(), Storage(tmp_path)
    with hosted(image.answer) as (_, ref):
        entry = registry.pull(ref, ["amd64"], storage, Bars())
    assert (entry.repository, entry.tag, entry.digest) == ("group/thing", "v1", image.digest)
    assert storage.blob_path(digest_of(b"layer amd64")).read_bytes() == b"layer amd64"
    assert not storage.blob_path(digest_of(b"layer arm64")).exists()
    links = storage.root / "repositories" / "group" / "thing" / "_manifests" / "tags" / "v1" / "current" / "link"
    assert links.read_text() == image.digest
    assert all(path in storage.used for path in storage.root.rglob("*") if path.is_file())


def test_a_second_pull_fetches_no_blob_again(tmp_path: Path) -> None:
    image = Image()
    with hosted(image.answer) as (running, ref):
        registry.pull(ref, ["amd64"], Storage(tmp_path), Bars())
        asked = len([path for path, _ in running.asked if "/blobs/" in path])
        registry.pull(ref, ["amd64"], Storage(tmp_path), Bars())
        assert len([path for path, _ in running.asked if "/blobs/" in path]) == asked == 2


def test_an_architecture_that_is_not_there_is_named(tmp_path: Path) -> None:
    with hosted(Image().answer) as (_, ref), pytest.raises(InvalidInput, match="not made for riscv64"):
        registry.pull(ref, ["amd64", "riscv64"], Storage(tmp_path), Bars())


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    image = Image()
    child = next(name for name in image.documents if name.startswith("sha256:"))
    image.documents[child] += b" "
    with hosted(image.answer) as (_, ref), pytest.raises(PreflightRefused, match="is damaged"):
        registry.pull(ref, ["amd64"], Storage(tmp_path), Bars())


def test_a_damaged_layer_is_refused_and_not_kept(tmp_path: Path) -> None:
    image, storage = Image(), Storage(tmp_path)
    layer = digest_of(b"layer amd64")
    image.blobs[layer] = b"LAYER amd64"
    with hosted(image.answer) as (_, ref), pytest.raises(PreflightRefused, match="is damaged"):
        registry.pull(ref, ["amd64"], storage, Bars())
    assert not storage.blob_path(layer).exists()


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    image = Image()
    del image.documents["v1"]
    with hosted(image.answer) as (_, ref), pytest.raises(HostUnreachable, match=r"manifests/v1 answers 404"):
        registry.pull(ref, ["amd64"], Storage(tmp_path), Bars())


def test_a_registry_with_another_login_is_an_error(tmp_path: Path) -> None:
    with (
        hosted(lambda handler: send(handler, b"", 401, WWW_Authenticate='Basic realm="x"')) as (_, ref),
        pytest.raises(HostUnreachable, match="login that is not supported: Basic"),
    ):
        registry.pull(ref, ["amd64"], Storage(tmp_path), Bars())


def test_a_blob_is_what_its_digest_says(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    stored = storage.add_bytes(b"content", INDEX)
    assert files.matches(storage.blob_path(stored.digest), stored.digest.removeprefix("sha256:"), stored.size)
