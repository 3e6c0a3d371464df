"""A rehearsal makes a cluster of a site whose addresses are far away, and leaves that site and this machine alone."""

from __future__ import annotations

from pathlib import Path

from provision import sandbox
from tests.e2e.site import Call, Site, free_network, new_site, provision

SITE = """
[kube_control_plane]
master1 ansible_host=192.0.2.11 ip=192.0.2.11
[kube_node]
worker1 ansible_host=192.0.2.21
worker2 ansible_host=192.0.2.22
[all:vars]
ansible_user=nobody
cluster_name=faraway
cluster_network_provider=routed
"""


def _site() -> Site:
    return new_site("faraway", SITE, {"node_labels": {"example.org/rehearsed": "yes"}})


def _rehearsed(site: Site, *words: str) -> Call:
    return provision("rehearse", "-i", site.file, "--network", f"{free_network()}.0/24", *words)


def test_a_rehearsal_tells_what_would_happen_and_cleans_up(bundle: None) -> None:
    site = _site()
    before = {path: path.read_text() for path in site.file.parent.rglob("*") if path.is_file()}
    done = _rehearsed(site, "--workers", "0")
    assert done.code == 0, done.text
    steps = {step["command"]: step for step in done.document["steps"]}
    assert steps["cluster"]["code"] == 0
    assert {"Run etcd", "Verify the cluster"} & {phase["name"] for phase in steps["cluster"]["phases"]}
    assert all(phase["seconds"] >= 0 for phase in steps["cluster"]["phases"])
    assert done.document["left_out"] == ["worker1", "worker2"]
    own, here = done.document["addresses"]["master1"]
    assert (own, here.rpartition(".")[2]) == ("192.0.2.11", "11")
    assert sandbox.load(Path(done.document["copy"])) is None
    assert {path: path.read_text() for path in site.file.parent.rglob("*") if path.is_file()} == before
    assert provision("runs", "list", "-i", site.file).document in ({}, [])


def test_what_is_no_workflow_is_refused_before_anything_is_made(bundle: None) -> None:
    refused = _rehearsed(_site(), "--workflow", "clutser")
    assert refused.code == 2, refused.text
    assert "is no workflow" in refused.text
