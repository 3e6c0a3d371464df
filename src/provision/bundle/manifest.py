"""manifest.json: what a bundle holds. It is written last, so a directory that has one was completed once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from provision.bundle import files
from provision.bundle.files import Digest
from provision.errors import InvalidInput, Location

NAME = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class ArtifactFile:
    """Where an artifact is for one architecture; `version` can differ from the catalog's when it was built."""

    version: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class ImageEntry:
    """An image as the registry serves it: repository without the original registry's host, tag, digest of the tag."""

    repository: str
    tag: str
    digest: str


@dataclass(frozen=True)
class PackageEntry:
    """One operating system package of an apt repository."""

    distribution: str
    name: str
    version: str
    arch: str
    licence: str = ""


@dataclass(frozen=True)
class Manifest:
    """The content of a bundle. Paths are relative to its directory; `files` covers all but the manifest itself."""

    kubernetes: str
    arch: tuple[str, ...]
    created: str
    source: str
    distributions: tuple[str, ...]
    artifacts: Mapping[str, Mapping[str, ArtifactFile]]
    images: Mapping[str, ImageEntry]
    packages: tuple[PackageEntry, ...] = ()
    files: Mapping[str, Digest] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The document as it is written."""
        return {
            "format": FORMAT,
            "kubernetes": self.kubernetes,
            "arch": list(self.arch),
            "created": self.created,
            "source": self.source,
            "distributions": list(self.distributions),
            "artifacts": {name: _artifact_dict(per_arch) for name, per_arch in sorted(self.artifacts.items())},
            "images": {ref: asdict(image) for ref, image in sorted(self.images.items())},
            "packages": [asdict(package) for package in self.packages],
            "files": {path: asdict(self.files[path]) for path in sorted(self.files)},
        }

    def write(self, directory: Path) -> None:
        """Writes it atomically: readers see the old one or the new one."""
        files.write(directory / NAME, json.dumps(self.as_dict(), indent=1) + "\n")


def _artifact_dict(per_arch: Mapping[str, ArtifactFile]) -> dict[str, Any]:
    entry: dict[str, Any] = {"version": next(iter(per_arch.values())).version}
    for arch, file in sorted(per_arch.items()):
        entry[arch] = {"path": file.path, "sha256": file.sha256, "size": file.size}
    return entry


def load(directory: Path) -> Manifest:
    """Reads a bundle's manifest. Raises InvalidInput when there is none or it is not one of ours."""
    path = directory / NAME
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise InvalidInput(
            f"{directory} is not a complete bundle: it has no {NAME}",
            hint=f"provision bundle create --directory {directory}",
        ) from None
    except OSError as error:
        raise InvalidInput(f"the bundle cannot be read: {error}") from error


def parse(text: str, origin: str) -> Manifest:
    """Reads a manifest's text; `origin` (file or URL) is named in the InvalidInput of a broken one."""
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise InvalidInput(f"{origin} has format {data['format']}, this version reads {FORMAT}")
        return Manifest(
            kubernetes=data["kubernetes"],
            arch=tuple(data["arch"]),
            created=data["created"],
            source=data["source"],
            distributions=tuple(data["distributions"]),
            artifacts={name: dict(_artifact_files(entry)) for name, entry in data["artifacts"].items()},
            images={ref: ImageEntry(**entry) for ref, entry in data["images"].items()},
            packages=tuple(PackageEntry(**entry) for entry in data["packages"]),
            files={_inside(path): Digest(**entry) for path, entry in data["files"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"the bundle's manifest is damaged: {type(error).__name__}: {error}", location=Location(origin)
        ) from error


def _artifact_files(entry: Mapping[str, Any]) -> Iterator[tuple[str, ArtifactFile]]:
    for arch, file in entry.items():
        if arch != "version":
            yield arch, ArtifactFile(version=entry["version"], **file)


def _inside(path: str) -> str:
    """A manifest can come over the network: it must not name a place outside the bundle."""
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"path outside the bundle: {path}")
    return path


def inventory(directory: Path, paths: Iterable[Path]) -> dict[str, Digest]:
    """The files of a bundle with their digests, read in parallel."""
    ordered = sorted(paths)
    with ThreadPoolExecutor() as pool:
        digests = pool.map(files.digest, ordered)
        return {str(path.relative_to(directory)): value for path, value in zip(ordered, digests, strict=True)}


def prune(directory: Path, keep: AbstractSet[Path]) -> None:
    """Removes what an earlier bundle in the same directory left behind; the manifest stays until it is replaced."""
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in keep and path != directory / NAME:
            path.unlink()
