"""The host's files."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.render.rendering import Role


def host(family: str = "debian", **options: Any) -> Role:
    inputs: dict[str, Any] = {
        "cluster_host": {
            "os_family": family,
            "os_id": "debian" if family == "debian" else "rocky",
            "os_version": "13",
            "virtualization": "",
            "package_manager": "apt" if family == "debian" else "dnf",
        },
        "cluster_mirror_url": "http://10.77.0.1:8080",
        "cluster_api_ip": "10.77.0.10",
        "cluster_api_host": "api.cluster.local",
        "cluster_balancer": "vip",
        "cluster_network_provider": "routed",
    }
    return Role("host", **(inputs | options))


def test_sysctl_reads_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "sysctl.conf"
    file.write_text(host(host_sysctl={"net.core.somaxconn": 4096}).render("sysctl.conf.j2"))

    shown = subprocess.run(["sysctl", "--dry-run", "--load", file], capture_output=True, text=True, check=True)

    for line in ("net.ipv4.ip_forward = 1", "net.core.somaxconn = 4096"):
        assert line in shown.stdout


def test_the_bundles_packages_are_taken_where_there_is_one() -> None:
    role = host()
    source = role.render("provision.sources.j2")
    assert "URIs: http://10.77.0.1:8080/apt/debian-13/" in source
    assert "Signed-By:" in source
    assert role.value("__host_mirrored") is True
    assert host(cluster_mirror_url="").value("__host_mirrored") is False


@pytest.mark.parametrize("family", ["debian", "redhat"])
@pytest.mark.parametrize(
    ("balancer", "programs"), [("none", set()), ("local", {"haproxy"}), ("vip", {"haproxy", "keepalived"})]
)
def test_a_host_gets_the_packages_of_what_it_runs(family: str, balancer: str, programs: set[str]) -> None:
    packages = set(host(family, cluster_balancer=balancer).value("__host_all_packages"))
    assert packages & {"haproxy", "keepalived"} == programs


def test_a_container_keeps_its_hands_off_the_kernel_and_the_clock() -> None:
    machine = host()
    node = host(cluster_host={**machine.variables["cluster_host"], "virtualization": "container"})
    assert node.value("__host_own_settings") == {"net.ipv4.ip_forward": 1}
    assert "chrony" not in node.value("__host_all_packages")
    assert "chrony" in machine.value("__host_all_packages")


def test_names_are_in_the_hosts_file() -> None:
    names = host(host_entries={"nas": "10.77.0.99"}).value("__host_names").splitlines()
    assert names[:2] == ["10.77.0.10 api.cluster.local", "10.77.0.99 nas"]
