from __future__ import annotations

import re
from pathlib import Path

import pytest

from provision import catalog
from provision.catalog import ARCHITECTURES, Catalog
from provision.errors import InvalidInput


@pytest.fixture(scope="module")
def known() -> Catalog:
    return catalog.load()


def test_the_default_is_the_newest_known_version(known: Catalog) -> None:
    assert known.default_version == known.known_versions()[0] == "1.36.4"


def test_a_release_is_found_with_and_without_its_v(known: Catalog) -> None:
    assert known.release("v1.36.4") == known.release("1.36.4")
    assert known.release("v1.36.4")["kubernetes"] == "1.36.4"


def test_an_unknown_version_is_refused_with_the_nearest_one(known: Catalog) -> None:
    with pytest.raises(InvalidInput, match=r"does not know Kubernetes 1\.36\.40") as caught:
        known.release("1.36.40")
    assert caught.value.hint
    assert caught.value.hint.startswith("nearest: 1.36.4;")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_release_has_a_checksum_for_every_artifact(known: Catalog, arch: str) -> None:
    for version in known.known_versions():
        for artifact in known.artifacts(version, arch, known.optional):
            assert re.fullmatch(r"[0-9a-f]{64}", artifact.sha256), artifact
            assert artifact.url.startswith("https://")
            assert "{" not in artifact.url + artifact.file + "".join(entry.member for entry in artifact.install)
            assert artifact.install


def test_a_missing_checksum_is_an_error_and_never_an_unchecked_file(known: Catalog) -> None:
    component = next(item for item in known.components("1.36.4") if item.name == "kubelet")
    with pytest.raises(InvalidInput, match=r"no checksum for kubelet 1\.36\.4 on riscv64"):
        component.artifact("riscv64")


def test_optional_components_come_only_when_they_are_asked_for(known: Catalog) -> None:
    plain = {image.component for image in known.images("1.36.4")}
    with_calico = {image.component for image in known.images("1.36.4", ("calico",))}
    assert with_calico - plain == {"calico", "tigera_operator"}
    assert "calico" in known.optional
    with pytest.raises(InvalidInput, match="no component weave"):
        known.images("1.36.4", ("weave",))


def test_an_optional_component_brings_what_it_needs(known: Catalog) -> None:
    plain = {item.name for item in known.components("1.36.4")}
    with_cilium = {item.name for item in known.components("1.36.4", ("cilium",))}
    assert with_cilium - plain == {"cilium", "cilium_chart", "helm"}
    assert known.artifacts("1.36.4", "arm64", ("cilium_chart",))[-1].file == "cilium-1.20.0.tgz"


def test_image_references_are_complete(known: Catalog) -> None:
    for version in known.known_versions():
        for image in known.images(version, known.optional):
            assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+/[a-z0-9/._-]+:[\w.-]+", image.ref), image


def test_a_built_archive_has_what_the_install_takes_from_the_published_one(known: Catalog) -> None:
    for component in known.components("1.36.4"):
        if not component.has_artifact or not component.build:
            continue
        names = {"version": component.version, "arch": "amd64"}
        built = {member.format(**names) for member in component.build.archive}
        wanted = {entry.member for entry in component.artifact("amd64").install if entry.member}
        assert wanted <= built, component.name


def test_every_built_file_is_the_result_of_its_recipe(known: Catalog) -> None:
    for component in known.components("1.36.4"):
        build = component.build
        if not build or not build.recipe:
            continue
        recipe = known.recipe(build.recipe, "1.36.4")
        results = {re.sub(r"/v\d+$", "", package).rpartition("/")[2] for package in recipe.packages} or {recipe.name}
        used = {build.file} - {""} | set(build.archive.values())
        used |= set(build.image.files.values()) if build.image else set()
        assert used, component.name
        assert used <= results, component.name


def test_a_recipe_resolves_its_templates(known: Catalog) -> None:
    recipe = known.recipe("kubernetes", "1.36.4")
    assert recipe.staging == "v0.36.4"
    assert known.recipe("kubernetes", "1.36.3").libraries_of == recipe.libraries_of == "1.36.4"
    assert known.recipe("kubernetes", "1.35.4").libraries_of == "1.35.4"
    assert recipe.stamp["k8s.io/component-base/version.gitVersion"] == "v1.36.4"
    assert known.recipe("etcd", "1.36.4").version == known.release("1.36.4")["etcd"]


def test_packages_are_known_by_distribution(known: Catalog) -> None:
    assert "keepalived" in known.packages("debian-13").names
    with pytest.raises(InvalidInput, match="no packages for debian-7"):
        known.packages("debian-7")


def test_a_broken_catalog_is_named(tmp_path: Path) -> None:
    path = tmp_path / "components.yml"
    path.write_text("a: [")
    with pytest.raises(InvalidInput, match="catalog cannot be read") as caught:
        catalog.load(path)
    assert caught.value.location
    assert caught.value.location.path == str(path)
