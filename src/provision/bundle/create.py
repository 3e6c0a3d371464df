"""Makes a bundle: files, images and packages from a source, then the bill of materials, then the manifest."""

from __future__ import annotations

import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from provision.bundle import aptrepo, build, debian, files, manifest, mirror, sbom, upstream
from provision.bundle.manifest import Manifest, PackageEntry
from provision.bundle.plan import Content, Plan
from provision.errors import PreflightRefused

_ROOM = 3 << 30
"""Bytes that a new bundle for one architecture takes, with what is built on the way."""


class Source(StrEnum):
    """Where the content comes from."""

    UPSTREAM = "upstream"
    BUILD = "build"
    MIRROR = "mirror"


def create(plan: Plan, source: Source, mirror_url: str = "") -> Manifest:
    """Makes or completes the bundle; what is there and valid is kept. The manifest is written last, atomically.

    Raises HostUnreachable (a download failed), TaskFailed (a build), PreflightRefused (damage, no room, no program),
    or InvalidInput (a distribution that the catalog does not know).
    """
    for distribution in plan.distributions:  # a misspelt one is told before anything is downloaded
        plan.catalog.packages(distribution)
    with files.locked(plan.directory.parent / f".{plan.directory.name}.lock"):
        plan.directory.mkdir(exist_ok=True)
        _check_room(plan)
        if source is Source.MIRROR:
            return mirror.copy(mirror_url, plan.directory, plan.progress)
        return _make(plan, source)


def _make(plan: Plan, source: Source) -> Manifest:
    with ThreadPoolExecutor(1) as pool:
        repositories: Future[tuple[list[PackageEntry], set[Path]]] = pool.submit(_packages, plan)
        content = build.make(plan) if source is Source.BUILD else upstream.fetch_all(plan)
        packages, kept = repositories.result()
    return _finish(plan, source, content, packages, kept)


def _check_room(plan: Plan) -> None:
    free = shutil.disk_usage(plan.directory).free
    if not (plan.directory / manifest.NAME).exists() and free < _ROOM * len(plan.arches):
        raise PreflightRefused(
            f"{plan.directory} has {free >> 20} MiB free, a bundle needs {_ROOM * len(plan.arches) >> 20}",
            hint="choose another place with --directory",
        )


def _packages(plan: Plan) -> tuple[list[PackageEntry], set[Path]]:
    """The repositories of the distributions: what they hold, and their files."""
    entries: list[PackageEntry] = []
    kept: set[Path] = set()
    for distribution in plan.distributions:
        wanted = plan.catalog.packages(distribution)
        debs = [deb for arch in plan.arches for deb in debian.Apt(wanted, arch, plan.cache).fetch(wanted.names)]
        kept |= aptrepo.write(plan.directory / "apt" / distribution, distribution, debs)
        entries += sorted({PackageEntry(distribution, deb.name, deb.version, deb.arch) for deb in debs}, key=str)
    return entries, kept


def _finish(plan: Plan, source: Source, content: Content, packages: list[PackageEntry], kept: set[Path]) -> Manifest:
    made = Manifest(
        kubernetes=plan.catalog.release(plan.version)["kubernetes"],
        arch=plan.arches,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=source.value,
        distributions=plan.distributions,
        artifacts=content.artifacts,
        images=content.images,
        packages=tuple(packages),
    )
    kept |= plan.images.used
    kept |= {plan.directory / file.path for per_arch in made.artifacts.values() for file in per_arch.values()}
    kept.add(sbom.write(plan.directory, made, plan.components, content.modules))
    manifest.prune(plan.directory, kept)
    made = replace(made, files=manifest.inventory(plan.directory, kept))
    made.write(plan.directory)
    return made
