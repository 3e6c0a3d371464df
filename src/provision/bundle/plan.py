"""What a bundle is to hold, and what every source gives back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from provision.bundle.manifest import ArtifactFile, ImageEntry
from provision.bundle.oci import Storage
from provision.catalog import Catalog, Component
from provision.render import Bars, Unit


class Progress(Protocol):
    """`render.progress`, or something quiet in its place."""

    def __call__(self, title: str, *, unit: Unit = "items") -> AbstractContextManager[Bars]:
        """Opens a group of bars."""


@dataclass(frozen=True)
class Plan:
    """A bundle to be made: for one Kubernetes version, some architectures and some distributions."""

    directory: Path
    catalog: Catalog
    version: str
    arches: tuple[str, ...]
    distributions: tuple[str, ...]
    extra: tuple[str, ...]
    cache: Path
    """Where results and downloads are kept between runs (builds, packages, toolchain)."""
    progress: Progress

    @property
    def components(self) -> tuple[Component, ...]:
        """What the bundle holds."""
        return self.catalog.components(self.version, self.extra)

    @cached_property
    def images(self) -> Storage:
        """The registry's directory in the bundle."""
        return Storage(self.directory / "images")


@dataclass(frozen=True)
class Content:
    """The files and images that a source has put into the bundle."""

    artifacts: Mapping[str, Mapping[str, ArtifactFile]]
    images: Mapping[str, ImageEntry]
    modules: Mapping[str, Mapping[str, str]]
    """Component -> Go module -> version, where it is known."""
