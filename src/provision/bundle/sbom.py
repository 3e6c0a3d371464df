"""The bill of materials: bom.json, CycloneDX 1.6, for everything in a bundle down to the Go modules and packages."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from provision import __version__
from provision.bundle import files, oci
from provision.bundle.manifest import Manifest
from provision.catalog import Component

NAME = "bom.json"


def write(
    directory: Path, made: Manifest, components: tuple[Component, ...], modules: Mapping[str, Mapping[str, str]]
) -> Path:
    """Writes bom.json for the manifest's content; `modules` are the Go modules of each component."""
    path = directory / NAME
    files.write(path, json.dumps(document(made, components, modules), indent=1) + "\n")
    return path


def document(
    made: Manifest, components: tuple[Component, ...], modules: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """The CycloneDX document."""
    root = f"bundle-{made.kubernetes}"
    parts = [*_artifacts(made, components), *_images(made, components)]
    libraries = {
        _module_ref(name, version): (name, version) for own in modules.values() for name, version in own.items()
    }
    packages = list(_packages(made))
    owners = {part["bom-ref"]: part["properties"][0]["value"] for part in parts}
    dependencies = [{"ref": root, "dependsOn": [*owners, *(package["bom-ref"] for package in packages)]}]
    dependencies += [
        {"ref": ref, "dependsOn": [_module_ref(*module) for module in modules.get(owner, {}).items()]}
        for ref, owner in owners.items()
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, root + made.created)}",
        "version": 1,
        "metadata": {
            "timestamp": made.created,
            "tools": {"components": [{"type": "application", "name": "provision", "version": __version__}]},
            "component": {"type": "platform", "bom-ref": root, "name": "provision-bundle", "version": made.kubernetes},
        },
        "components": [*parts, *(_library(ref, *module) for ref, module in sorted(libraries.items())), *packages],
        "dependencies": dependencies,
    }


def _artifacts(made: Manifest, components: tuple[Component, ...]) -> Iterator[dict[str, Any]]:
    for component in components:
        for arch, file in made.artifacts.get(component.name, {}).items():
            yield {
                "type": "application",
                "bom-ref": f"file:{component.name}:{arch}",
                "name": component.name,
                "version": file.version,
                "hashes": [{"alg": "SHA-256", "content": file.sha256}],
                "purl": f"pkg:generic/{component.name}@{quote(file.version)}?arch={arch}",
                **_common(component),
            }


def _images(made: Manifest, components: tuple[Component, ...]) -> Iterator[dict[str, Any]]:
    for component in components:
        for image in component.images:
            if entry := made.images.get(image.ref):
                yield {
                    "type": "container",
                    "bom-ref": f"image:{image.ref}",
                    "name": image.ref.rpartition(":")[0],
                    "version": entry.tag,
                    "purl": _image_purl(image.ref, entry.digest),
                    **_common(component),
                }


def _image_purl(ref: str, digest: str) -> str:
    host, repository, tag = oci.split(ref)
    name = repository.rpartition("/")[2]
    url = quote(f"{host}/{repository}", safe="")
    return f"pkg:oci/{name}@{quote(digest)}?repository_url={url}&tag={tag}"


def _common(component: Component) -> dict[str, Any]:
    return {
        "licenses": [{"license": {"id": component.licence}}],
        "externalReferences": [{"type": "vcs", "url": component.project}],
        "properties": [{"name": "provision:component", "value": component.name}],
    }


def _module_ref(name: str, version: str) -> str:
    return f"pkg:golang/{quote(name)}@{quote(version)}"


def _library(ref: str, name: str, version: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": ref, "name": name, "version": version, "purl": ref}


def _packages(made: Manifest) -> Iterator[dict[str, Any]]:
    for package in made.packages:
        vendor, version = package.distribution.partition("-")[0], quote(package.version)
        purl = f"pkg:deb/{vendor}/{package.name}@{version}?arch={package.arch}&distro={package.distribution}"
        yield {"type": "library", "bom-ref": purl, "name": package.name, "version": package.version, "purl": purl}
