"""What `provision upgrade` says before it touches a machine, and which line of the site it names afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InvalidInput, UsageError
from provision.inventory import Site, load
from provision.lifecycle import upgrade
from provision.workflows import WORKFLOWS, Request

HOSTS = """[kube_control_plane]
m1 ansible_host=10.0.0.1
m2 ansible_host=10.0.0.2
[kube_node]
w1 ansible_host=10.0.0.3
w2 ansible_host=10.0.0.4
[all:vars]
cluster_vip=10.0.0.9
"""


def site(directory: Path, more: str = "", hosts: str = HOSTS) -> Site:
    file = directory / "site.ini"
    file.write_text(hosts + more)
    return load(file)


def request(found: Site, **inputs: object) -> Request:
    return Request(WORKFLOWS["upgrade"], found.path, inputs=inputs)


def test_the_version_is_one_of_the_catalog(tmp_path: Path) -> None:
    found = site(tmp_path)
    upgrade.check(found, request(found, cluster_version="1.36.4"))
    with pytest.raises(InvalidInput, match=r"does not know Kubernetes 1\.2\.3"):
        upgrade.check(found, request(found, cluster_version="1.2.3"))
    with pytest.raises(UsageError, match="name the version"):
        upgrade.check(found, request(found))


def test_the_blast_radius_names_machines_batches_and_the_api(tmp_path: Path) -> None:
    found = site(tmp_path)
    said = "\n".join(upgrade.blast(found, request(found, cluster_version="1.36.4", run_batch="50%")))
    for words in ("1.36.4", "(m1, m2)", "2 workers, 50% at a time", "the API is not interrupted"):
        assert words in said


def test_one_control_plane_means_an_api_that_is_away(tmp_path: Path) -> None:
    found = site(tmp_path, hosts="[kube_control_plane]\nm1 ansible_host=10.0.0.1\n")
    said = "\n".join(upgrade.blast(found, request(found, cluster_version="1.36.4")))
    assert "the API is away" in said
    assert "workers" not in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "under [all:vars], write: cluster_version=1.36.4"),
        ("cluster_version=1.36.3\n", "write: cluster_version=1.36.4"),
        ("kube_version=v1.36.3\n", "write: kube_version=1.36.4"),
        ("cluster_version=1.36.4\n", ""),
    ],
)
def test_the_line_to_set_is_the_one_that_the_site_has(tmp_path: Path, line: str, said: str) -> None:
    told = upgrade.line_to_set(site(tmp_path, line), "1.36.4")
    assert bool(told) is bool(said)
    assert said in told


def test_settings_of_a_run_are_those_of_the_cluster(tmp_path: Path) -> None:
    asked = request(site(tmp_path), cluster_version="1.36.4", run_batch="2")
    assert asked.settings == {"cluster_version": "1.36.4"}
    assert asked.extra_vars == {"cluster_version": "1.36.4", "run_batch": "2"}
