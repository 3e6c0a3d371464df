"""The kubelet's settings and unit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render.rendering import Role

HOST: dict[str, Any] = {
    "cluster_host": {
        "virtualization": "",
        "cgroup_version": 2,
        "kubernetes": {"kubelet_conf": False, "kubelet_version": ""},
    },
    "cluster_artifacts": {name: {"name": name} for name in ("kubelet", "kubeadm", "kubectl", "crictl")},
    "cluster_images": {},
    "cluster_control_planes": [{"host": "cp1", "name": "cp1", "address": "10.77.0.11"}],
    "cluster_nodes": ["cp1", "w1"],
    "cluster_version": "1.36.4",
}


def settings(**inputs: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Role("kubernetes", **(HOST | inputs)).render("kubelet.conf.j2"))
    return found


def test_the_kubelet_is_closed_by_default() -> None:
    found = settings()
    assert found["authentication"]["anonymous"] == {"enabled": False}
    assert found["authorization"] == {"mode": "Webhook"}
    assert (found["readOnlyPort"], found["serverTLSBootstrap"], found["rotateCertificates"]) == (0, True, True)
    assert (found["protectKernelDefaults"], found["failSwapOn"], found["failCgroupV1"]) == (True, True, True)
    assert found["seccompDefault"] is True


def test_a_container_node_may_do_what_it_must() -> None:
    container = {**HOST["cluster_host"], "virtualization": "container"}
    found = settings(cluster_host=container, kubernetes_cgroup_v1_allowed=True, kubernetes_swap_allowed=True)
    assert (found["protectKernelDefaults"], found["failSwapOn"], found["failCgroupV1"]) == (False, False, False)


def test_quantities_reach_the_kubelet() -> None:
    found = settings(kubernetes_max_pods=50, kubernetes_eviction_hard={"memory.available": "1Gi"})
    assert (found["maxPods"], found["evictionHard"]) == (50, {"memory.available": "1Gi"})
    assert found["systemReserved"] == {"cpu": "100m", "memory": "256Mi"}


@pytest.mark.parametrize("extra", [{}, {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"}])
def test_further_settings_are_a_file_of_their_own(extra: dict[str, Any]) -> None:
    role = Role("kubernetes", **HOST, kubernetes_kubelet_settings=extra)
    item = next(item for item in role.value("__kubernetes_files") if item["dest"].endswith("20-site.conf"))
    assert item["state"] == ("file" if extra else "absent")
    if extra:
        kind = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
        assert yaml.safe_load(item["content"]) == kind | extra


@pytest.mark.parametrize(("host", "images"), [("cp1", 7), ("w1", 4)])
def test_a_control_plane_pulls_its_own_images_too(host: str, images: int) -> None:
    assert len(Role("kubernetes", **HOST, inventory_hostname=host).value("__kubernetes_all_images")) == images


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = Role("kubernetes", **HOST).render("kubelet.service.j2")
    assert "--config-dir=/etc/kubernetes/kubelet.conf.d" in text
    if analyze := shutil.which("systemd-analyze"):
        unit = tmp_path / "kubelet.service"
        unit.write_text(text.replace("/usr/local/bin/kubelet", "/bin/true"), encoding="utf-8")
        done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
        assert "Unknown" not in done.stderr, done.stderr
