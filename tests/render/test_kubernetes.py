"""The kubelet's settings, read by kubeadm, which knows every field and refuses the others."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render.rendering import Role

CLUSTER = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.4\n---\n"


def kubernetes(**options: Any) -> Role:
    inputs: dict[str, Any] = {
        "cluster_artifacts": {},
        "cluster_images": {},
        "cluster_control_planes": [{"host": "m1"}],
        "cluster_nodes": ["m1", "w1"],
        "cluster_node_name": "w1",
        "cluster_version": "1.36.4",
        "cluster_host": {"virtualization": ""},
        "inventory_hostname": "w1",
    }
    return Role("kubernetes", **(inputs | options))


@pytest.mark.skipif(not shutil.which("kubeadm"), reason="kubeadm is not at hand: there is no bundle")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kubernetes_cgroup_v1_allowed": True, "kubernetes_swap_allowed": True, "kubernetes_max_pods": 250},
        {"kubernetes_eviction_hard": {"memory.available": "50Mi"}, "kubernetes_system_reserved": {}},
        {"cluster_host": {"virtualization": "container"}},
    ],
)
def test_kubeadm_knows_every_field(tmp_path: Path, options: dict[str, Any]) -> None:
    config = tmp_path / "kubelet.yaml"
    config.write_text(CLUSTER + kubernetes(**options).render("kubelet.conf.j2"))

    checked = subprocess.run(
        ["kubeadm", "config", "validate", "--config", config], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr


def test_what_must_be_refused_or_allowed_follows_the_options() -> None:
    strict = yaml.safe_load(kubernetes().render("kubelet.conf.j2"))
    assert (strict["failSwapOn"], strict["failCgroupV1"]) == (True, True)
    loose = kubernetes(kubernetes_swap_allowed=True, kubernetes_cgroup_v1_allowed=True)
    assert yaml.safe_load(loose.render("kubelet.conf.j2"))["failSwapOn"] is False
    assert strict["authentication"]["anonymous"]["enabled"] is False
    assert strict["serverTLSBootstrap"] is True


def test_the_sites_own_settings_come_after_ours() -> None:
    role = kubernetes(kubernetes_kubelet_settings={"maxPods": 42})
    files = [item["dest"] for item in role.value("__kubernetes_files") if "kubelet.conf.d/" in item["dest"]]
    assert files == sorted(files)
    assert yaml.safe_load(role.value("__kubernetes_site_settings"))["maxPods"] == 42


def test_control_planes_pull_their_images_ahead() -> None:
    assert "kube-apiserver" in kubernetes(inventory_hostname="m1").value("__kubernetes_all_images")
    assert "kube-apiserver" not in kubernetes().value("__kubernetes_all_images")
