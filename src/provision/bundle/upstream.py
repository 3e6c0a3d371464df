"""The `upstream` source: releases as their projects publish them, checked against the catalog, and their images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from provision.bundle import fetch, registry
from provision.bundle.fetch import Download
from provision.bundle.manifest import ArtifactFile, ImageEntry
from provision.bundle.plan import Content, Plan
from provision.catalog import Artifact, Image
from provision.render import Bars

_IMAGES_AT_A_TIME = 3


def fetch_all(plan: Plan) -> Content:
    """Downloads everything of the plan that is not there yet. Errors name what failed."""
    artifacts = [
        component.artifact(arch) for component in plan.components if component.has_artifact for arch in plan.arches
    ]
    with plan.progress("Downloading releases and images", unit="bytes") as bars:
        fetch.fetch_all((_download(plan, artifact) for artifact in artifacts), bars)
        images = _pull(plan, bars)
    found: dict[str, dict[str, ArtifactFile]] = {}
    for artifact in artifacts:
        found.setdefault(artifact.name, {})[artifact.arch] = _entry(plan, artifact)
    return Content(found, images, modules={})


def _download(plan: Plan, artifact: Artifact) -> Download:
    return Download(artifact.url, plan.directory / "files" / artifact.file, artifact.sha256)


def _entry(plan: Plan, artifact: Artifact) -> ArtifactFile:
    path = f"files/{artifact.file}"
    size = (plan.directory / path).stat().st_size
    return ArtifactFile(version=artifact.version, path=path, sha256=artifact.sha256, size=size)


def _pull(plan: Plan, bars: Bars) -> dict[str, ImageEntry]:
    """The images keep their digests: an index is stored whole, with the platforms that were asked for."""
    images = [image for component in plan.components for image in component.images]

    def one(image: Image) -> ImageEntry:
        return registry.pull(image.ref, plan.arches, plan.images, bars)

    with ThreadPoolExecutor(_IMAGES_AT_A_TIME) as pool:
        return {image.ref: entry for image, entry in zip(images, pool.map(one, images), strict=True)}
