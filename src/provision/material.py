"""What one machine installs, and from where: the catalog's release set, at its upstream or in a bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.catalog import Catalog, Component
from provision.errors import InvalidInput

Manifest = Mapping[str, Any]


def manifest(bundle: str) -> Manifest | None:
    """The manifest of the bundle directory `bundle`, None for an empty name; raises InvalidInput when it has none."""
    if not bundle:
        return None
    path = Path(bundle).expanduser() / "manifest.json"
    if not path.exists():
        raise InvalidInput(f"cluster_bundle: {path} is not there", hint="make a bundle with `provision bundle create`")
    data: Manifest = json.loads(path.read_text(encoding="utf-8"))
    return data


def artifacts(
    catalog: Catalog, version: str, arch: str, held: Manifest | None, mirror: str
) -> dict[str, dict[str, Any]]:
    """{name: {name, version, url, sha256, install}} as the `artifact` module takes them.

    `mirror` is the URL at which the bundle is served. An artifact that the bundle lacks has an empty sha256, which the
    module refuses by name.
    """
    return {
        component.name: _artifact(component, arch, held, mirror.rstrip("/"))
        for component in catalog.components(version, catalog.optional)
        if component.has_artifact
    }


def _artifact(component: Component, arch: str, held: Manifest | None, mirror: str) -> dict[str, Any]:
    upstream = component.artifact(arch)
    entry = {
        "name": upstream.name,
        "version": upstream.version,
        "url": upstream.url,
        "sha256": upstream.sha256,
        "install": [install.as_dict() for install in upstream.install],
    }
    if held is None:
        return entry
    own = held.get("artifacts", {}).get(upstream.name, {})
    file = own.get(arch, {})
    return {
        **entry,
        "version": own.get("version", upstream.version),
        "url": f"{mirror}/{file.get('path', upstream.file)}",
        "sha256": file.get("sha256", ""),
    }


def images(catalog: Catalog, version: str, held: Manifest | None) -> dict[str, dict[str, str]]:
    """{name: {ref, digest}} of the release's images; the digest is known where a bundle brings the image."""
    brought = (held or {}).get("images", {})
    return {
        image.name: {"ref": image.ref, "digest": brought.get(image.ref, {}).get("digest", "")}
        for image in catalog.images(version, catalog.optional)
    }
