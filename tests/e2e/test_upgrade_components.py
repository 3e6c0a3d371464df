"""An upgrade that keeps the version of Kubernetes and brings newer etcd, containerd and balancers.

The cluster is made by a copy of this project whose catalog names older versions; then nodes get packages that pass
for newer ones.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from provision.bundle import aptrepo, manifest
from provision.bundle.debian import Deb
from provision.catalog import load
from provision.drills.probe import Answer, Prober, reasons
from tests.e2e.conftest import QUICK_START, bundle_of
from tests.e2e.site import ETCDCTL, ROOT, Call, Site, eventually, new_site, provision
from tests.e2e.test_upgrade import TARGET
from tests.mutation.trial import copy_of

pytestmark = pytest.mark.full

OLDER = {"etcd": "3.6.8", "containerd": "2.3.3"}
BALANCERS = ("haproxy", "keepalived")
NEWER = "+newer"


def older_project(directory: Path) -> Path:
    """This project with older versions in its catalog. Their digests are wrong: what is built is not downloaded."""
    project = copy_of(ROOT, directory)
    file = project / "group_vars/all/components.yml"
    catalog = yaml.safe_load(file.read_text())
    for name, version in OLDER.items():
        digests = catalog["cluster_components"][name]["artifact"]["sha256"]
        digests[version] = digests[catalog["cluster_releases"][TARGET][name]]
        catalog["cluster_releases"][TARGET][name] = version
    file.write_text(yaml.safe_dump(catalog, sort_keys=False))
    return project


def with_newer_balancers(bundle: Path, directory: Path) -> Path:
    """A bundle like this one whose balancers' packages have a higher version."""
    made = shutil.copytree(bundle, directory, symlinks=True, copy_function=os.link)
    content = manifest.load(made)
    for distribution in content.distributions:
        repository = made / "apt" / distribution
        for name in BALANCERS:
            (package,) = repository.glob(f"pool/{name}_*.deb")
            _raise_version(package)
        aptrepo.write(repository, distribution, [_deb(file) for file in sorted(repository.glob("pool/*.deb"))])
    paths = [path for path in made.rglob("*") if path.is_file() and path.name != manifest.NAME]
    replace(content, files=manifest.inventory(made, paths)).write(made)
    return made


def _raise_version(package: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["dpkg-deb", "--raw-extract", package, directory], check=True)
        control = Path(directory, "DEBIAN/control")
        lines = control.read_text().splitlines()
        control.write_text("".join(f"{line}{NEWER if line.startswith('Version:') else ''}\n" for line in lines))
        made = package.with_name(package.name.replace(package.name.split("_")[1], package.name.split("_")[1] + NEWER))
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", directory, made], check=True)
    package.unlink()


def _deb(file: Path) -> Deb:
    fields = subprocess.run(
        ["dpkg-deb", "--field", file, "Package", "Version", "Architecture"], check=True, capture_output=True, text=True
    )
    found = dict(line.split(": ", 1) for line in fields.stdout.splitlines())
    return Deb(found["Package"], found["Version"], found["Architecture"], file)


@dataclass(frozen=True)
class Upgraded:
    """The cluster after its upgrade, and what was seen meanwhile."""

    site: Site
    before: dict[str, set[str]]
    plan: Call
    run: Call
    api: list[Answer]
    gap: float
    """The longest time without an answer of the API meanwhile, in seconds."""


def versions(site: Site) -> dict[str, set[str]]:
    """What runs on all hosts, by component."""
    nodes = json.loads(site.kubectl("get nodes -o json"))["items"]
    members = json.loads(site.run(site.control_planes[0], f"{ETCDCTL} endpoint status --cluster --write-out json"))
    return {
        "containerd": {node["status"]["nodeInfo"]["containerRuntimeVersion"].rpartition("/")[2] for node in nodes},
        "etcd": {member["Status"]["version"] for member in members},
        **{
            name: {site.run(host, f"dpkg-query -Wf '${{Version}}' {name}") for host in site.control_planes}
            for name in BALANCERS
        },
    }


@pytest.fixture(scope="module")
def upgraded(bundle: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """A cluster of older components, brought to those of this project."""
    del bundle
    older = {"PYTHONPATH": str(older_project(tmp_path_factory.mktemp("older")) / "src")}
    old, new = (tmp_path_factory.mktemp("bundles") / name for name in ("old", "new"))
    site = new_site("upgrade-components", QUICK_START)
    try:
        for words in (
            ("bundle", "create", "--source", "build", "--directory", old),
            ("sandbox", "up", "--bundle", old, "-i", site.file),
            ("cluster", "--yes", "-i", site.file),
        ):
            made = provision(*words, environment=older)
            assert made.code == 0, made.text
        before = versions(site)
        site.up("--bundle", with_newer_balancers(bundle_of(TARGET), new))
        plan = site.provision("upgrade", "--to", TARGET, "--plan")
        with Prober(f"{site.network}.10", 8443) as api:
            run = site.provision("upgrade", "--to", TARGET, "--yes")
        yield Upgraded(site, before, plan, run, api.answers, api.gap)
    finally:
        site.down()


def test_the_cluster_was_made_of_the_older_ones(upgraded: Upgraded) -> None:
    assert {name: upgraded.before[name] for name in OLDER} == {name: {version} for name, version in OLDER.items()}


def test_everything_runs_the_newer_ones(upgraded: Upgraded) -> None:
    assert upgraded.run.code == 0, upgraded.run.text
    release = load().release(TARGET)

    def newest() -> None:
        found = versions(upgraded.site)
        assert {name: found[name] for name in OLDER} == {name: {release[name]} for name in OLDER}

    # A kubelet tells of a new containerd with its next report.
    eventually(newest, seconds=30)
    found = versions(upgraded.site)
    assert all(version.endswith(NEWER) for name in BALANCERS for version in found[name]), found


def test_the_plan_had_named_what_the_catalog_names(upgraded: Upgraded) -> None:
    assert upgraded.plan.code == 0, upgraded.plan.text
    planned = {(change["host"], change["role"]) for change in upgraded.plan.changes}
    site = upgraded.site
    assert planned >= {(name, "containerd") for name in site.names}
    assert planned >= {(name, "etcd") for name in site.control_planes}


def test_clients_of_the_api_hardly_noticed(upgraded: Upgraded) -> None:
    # An API server is not ready while the etcd member beside it restarts.
    assert upgraded.gap <= 2, reasons(upgraded.api)


def test_there_is_nothing_left_to_do(upgraded: Upgraded) -> None:
    plan = upgraded.site.provision("cluster", "--plan", "--exit-code")
    assert plan.code == 0, plan.text
    status = upgraded.site.provision("status")
    assert status.code == 0, status.text
