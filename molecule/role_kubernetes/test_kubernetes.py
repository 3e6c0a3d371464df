"""The programs of a node, its settings, and the images that its system pods need."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.machines import Machines

PROGRAMS = ("kubelet", "kubeadm", "kubectl", "crictl")


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_are_roots_and_runnable(machines: Machines, program: str) -> None:
    for name, host in machines.group("tested").items():
        file = host.file(f"/usr/local/bin/{program}")
        assert (file.user, file.mode) == ("root", 0o755), name


def test_they_are_of_the_sites_version(machines: Machines) -> None:
    wanted = f"v{machines.site.setting('cluster_version')}"
    for name in machines.group("tested"):
        assert machines.run(name, "kubeadm version --output short").strip() == wanted
        assert machines.run(name, "kubelet --version").split()[-1] == wanted


def test_the_kubelet_waits_for_the_host_to_join(machines: Machines) -> None:
    for name, host in machines.group("tested").items():
        assert host.service("kubelet").is_enabled, name
        assert not host.service("kubelet").is_running, name
        assert host.run("systemctl is-failed kubelet").stdout.strip() == "inactive", name


@pytest.mark.parametrize(
    ("path", "mode"),
    [("/etc/kubernetes/kubelet.conf.d", 0o700), ("/etc/kubernetes/kubelet.conf.d/10-provision.conf", 0o600)],
)
def test_settings_are_roots_alone(machines: Machines, path: str, mode: int) -> None:
    for name, host in machines.group("tested").items():
        assert (host.file(path).user, host.file(path).mode) == ("root", mode), name


def test_images_are_there_before_they_are_needed(machines: Machines) -> None:
    for name in machines.group("tested"):
        images = machines.run(name, "crictl images")
        for image in ("pause", "kube-proxy", "coredns"):
            assert f"/{image} " in images, name
        assert ("/kube-apiserver " in images) == (name in machines.group("kube_control_plane")), name


def test_the_kubelet_accepts_its_settings(machines: Machines) -> None:
    for name in machines.group("tested"):
        settings = machines[name].file("/etc/kubernetes/kubelet.conf.d/10-provision.conf").content_string
        for line in ("seccompDefault: true", "serverTLSBootstrap: true", "protectKernelDefaults: false"):
            assert line in settings, name


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "kubernetes_max_pods" in refused(kubernetes_max_pods="plenty")
    assert "kubernetes_kubelet_settings" in refused(kubernetes_kubelet_settings="maxPods")
