"""The `build` source: every component made on this machine from Go modules and the distribution's packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from provision.bundle import debian, files, golang, oci
from provision.bundle.manifest import ArtifactFile, ImageEntry
from provision.bundle.plan import Content, Plan
from provision.catalog import Build, Component, ImageBuild, Recipe
from provision.errors import InvalidInput

_AT_A_TIME = 2
"""Builds side by side. Go itself uses every core; a second build fills the gaps, more only cost memory."""

_DEFAULT_BASE = "debian-13"
"""Where programs from packages come from when the bundle is for no distribution with apt."""


@dataclass
class _Workshop:
    """What the steps share: the plan, the finished recipes and one apt for each architecture."""

    plan: Plan
    built: dict[tuple[str, str], golang.Built]
    apts: dict[str, debian.Apt] = field(default_factory=dict)

    def debs(self, arch: str, names: Sequence[str]) -> list[debian.Deb]:
        """Packages with their dependencies for images and single programs."""
        if arch not in self.apts:
            base = next(iter(self.plan.distributions), _DEFAULT_BASE)
            self.apts[arch] = debian.Apt(self.plan.catalog.packages(base), arch, self.plan.cache)
        return self.apts[arch].fetch(names)


def make(plan: Plan) -> Content:
    """Builds all components of the plan, or takes them from the cache. Raises InvalidInput for what cannot be built."""
    for component in plan.components:
        if not component.build:
            raise InvalidInput(
                f"{component.name} cannot be built from modules",
                hint=f"leave out --with {component.name}, or use --source upstream",
            )
    workshop = _Workshop(plan, _run_recipes(plan))
    artifacts: dict[str, Mapping[str, ArtifactFile]] = {}
    images: dict[str, ImageEntry] = {}
    for component in plan.components:
        if component.has_artifact:
            artifacts[component.name] = {arch: _artifact(workshop, component, arch) for arch in plan.arches}
        for image in component.images:
            images[image.ref] = _image(workshop, component, image.ref)
    return Content(artifacts, images, _modules(workshop))


def _run_recipes(plan: Plan) -> dict[tuple[str, str], golang.Built]:
    names = {component.build.recipe for component in plan.components if component.build and component.build.recipe}
    go = golang.Go(plan.catalog.go_minimum, plan.catalog.go_wheel, plan.cache)
    # The recipe with the most packages first: the long one must not be the one that is left over.
    recipes = sorted(
        (plan.catalog.recipe(name, plan.version) for name in names), key=lambda recipe: -len(recipe.packages)
    )
    work = [(recipe, arch) for arch in plan.arches for recipe in recipes]
    with plan.progress("Building from Go modules") as bars, ThreadPoolExecutor(_AT_A_TIME) as pool:

        def one(recipe: Recipe, arch: str) -> golang.Built:
            bar = bars.start(f"{recipe.name} {recipe.version} {arch}")
            built, cached = golang.build(recipe, arch, go, plan.cache / "build")
            bars.finish(bar, "cached" if cached else "built")
            return built

        results = [(recipe.name, arch, pool.submit(one, recipe, arch)) for recipe, arch in work]
        try:
            return {(name, arch): result.result() for name, arch, result in results}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _artifact(workshop: _Workshop, component: Component, arch: str) -> ArtifactFile:
    build, wanted = _build_of(component), component.artifact(arch)
    name, version = wanted.file, component.version
    target = workshop.plan.directory / "files"
    if build.package:
        deb = next(deb for deb in workshop.debs(arch, [build.package]) if deb.name == build.package)
        name, version = name.replace(component.version, deb.version), deb.version
        debian.extract(deb, build.member, target / name)
    elif build.archive:
        built = workshop.built[build.recipe, arch]
        names = {"version": component.version, "arch": arch}
        members = {member.format(**names): built.path(source) for member, source in build.archive.items()}
        files.write_tar_gz(target / name, members)
    else:
        files.copy(workshop.built[build.recipe, arch].path(build.file), target / name)
    found = files.digest(target / name)
    return ArtifactFile(version=version, path=f"files/{name}", sha256=found.sha256, size=found.size)


def _image(workshop: _Workshop, component: Component, ref: str) -> ImageEntry:
    build = _build_of(component)
    assert build.image  # noqa: S101
    storage = workshop.plan.images
    layers = {arch: _layer(workshop, build.recipe, build.image, arch, storage.root) for arch in workshop.plan.arches}
    settings = oci.runtime_settings(build.image.entrypoint, build.image.command, build.image.user)
    labels = {
        "org.opencontainers.image.licenses": component.licence,
        "org.opencontainers.image.source": component.project,
        "org.opencontainers.image.version": component.version,
    }
    digest = oci.write_image(storage, ref, layers, settings, labels)
    _, repository, tag = oci.split(ref)
    return ImageEntry(repository=repository, tag=tag, digest=digest)


def _layer(workshop: _Workshop, recipe: str, image: ImageBuild, arch: str, scratch: Path) -> Path:
    built = workshop.built[recipe, arch]
    contents = {path: built.path(source) for path, source in image.files.items()}
    debs = workshop.debs(arch, image.packages) if image.packages else []
    path = scratch / f".layer-{arch}"
    oci.write_layer(path, contents, lambda layer: debian.add_to_layer(layer, debs, image.links) if debs else None)
    return path


def _build_of(component: Component) -> Build:
    assert component.build  # noqa: S101
    return component.build


def _modules(workshop: _Workshop) -> dict[str, Mapping[str, str]]:
    arch = workshop.plan.arches[0]
    return {
        component.name: workshop.built[component.build.recipe, arch].modules
        for component in workshop.plan.components
        if component.build and component.build.recipe
    }
