"""`provision node remove`: workers, control planes, and the first of them while it is powered off."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Grown
from tests.e2e.site import Call, Site, eventually

PDB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: e2e-budget, namespace: default}
spec:
  selector: {matchLabels: {app: e2e-budget}}
  template:
    metadata: {labels: {app: e2e-budget}}
    spec:
      nodeSelector: {kubernetes.io/hostname: w2}
      containers: [{name: pause, image: "IMAGE"}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: e2e-budget, namespace: default}
spec: {minAvailable: 1, selector: {matchLabels: {app: e2e-budget}}}
"""


def _removed(site: Site, *names: str) -> Call:
    call = site.provision("node", "remove", *names, "--yes")
    assert call.code == 0, call.text
    assert all(f"{site.file}:" in call.text and name in call.text for name in names)
    return call


def _nodes(site: Site) -> set[str]:
    found = json.loads(site.kubectl("get nodes -o json", on="cp2"))["items"]
    return {node["metadata"]["name"] for node in found}


def _healthy(site: Site) -> None:
    status = site.provision("status")
    assert status.code == 0, status.text


def test_a_disruption_budget_is_respected_and_named(grown: Grown) -> None:
    site = grown.site
    images = json.loads(site.kubectl("get node w2 -o json", on="cp2"))["status"]["images"]
    image = next(name for entry in images for name in entry["names"] if "/pause:" in name)
    site.kubectl("apply -f -", on="cp2", document=PDB.replace("IMAGE", image))
    try:
        site.kubectl("rollout status deployment/e2e-budget --timeout=60s", on="cp2")
        call = site.provision("node", "remove", "w2", "--drain-timeout", "3", "--yes")
        assert call.code == 6, call.text
        assert "e2e-budget" in call.failures
        assert "w2" in _nodes(site)
    finally:
        site.kubectl("delete deployment,pdb e2e-budget --now", on="cp2")


def test_workers_leave_and_nothing_of_ours_stays(grown: Grown) -> None:
    _removed(grown.site, "w2", "gpu1")
    assert not _nodes(grown.site) & {"w2", "gpu1"}
    for path in ("/etc/kubernetes", "/var/lib/kubelet", "/usr/local/bin/kubelet", "/etc/containerd", "/etc/cni/net.d"):
        left = grown.site.run("w2", f"find {path} -type f 2>/dev/null || true")
        assert left.strip() == "", left
    grown.site.delete_lines("w2 gpu1")
    eventually(lambda: _healthy(grown.site), seconds=60, every=2)


def test_members_too_many_are_not_let_go(grown: Grown) -> None:
    """Four members, one of them dead: of two others only one would be left, which is no majority of two."""
    grown.site.kill("cp1")
    call = grown.site.provision("node", "remove", "cp3", "cp4", "--yes")
    assert call.code == 4, call.text
    assert "quorum" in call.failures
    assert call.changes == []


def test_the_first_control_plane_can_go_while_it_is_off(grown: Grown) -> None:
    """It is off since the test before."""
    site = grown.site
    line = next(line for line in site.file.read_text().splitlines() if line.startswith("cp1 "))
    _removed(site, "cp1")
    site.delete_lines("cp1")
    assert "cp1" not in _nodes(site)
    assert "cp1" not in site.kubectl("-n kube-system get configmap provision-nodes -o jsonpath={.data}", on="cp2")
    eventually(lambda: _healthy(site), seconds=90, every=2)
    assert line.split("=")[-1] == f"{site.network}.11"


def test_a_living_control_plane_leaves_in_order(grown: Grown) -> None:
    eventually(lambda: _healthy(grown.site), seconds=90, every=2)
    _removed(grown.site, "cp4")
    grown.site.delete_lines("cp4")
    assert "cp4" not in _nodes(grown.site)


@pytest.mark.usefixtures("grown")
def test_the_removed_one_comes_back_with_its_old_data_cleared(cluster: Site) -> None:
    cluster.write_host("kube_control_plane", "cp1", 11)
    cluster.up()
    call = cluster.provision("node", "add", "cp1", "--yes")
    assert call.code == 0, call.text
    eventually(lambda: _healthy(cluster), seconds=90, every=2)
    assert set(cluster.control_planes) == {"cp1", "cp2", "cp3"}
