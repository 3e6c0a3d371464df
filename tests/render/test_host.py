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


def deb822(text: str) -> dict[str, str]:
    """The fields of one stanza."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize(("system", "version"), [("debian", "12"), ("debian", "13"), ("ubuntu", "24.04")])
def test_the_bundles_packages_are_taken_where_there_is_one(system: str, version: str) -> None:
    machine = {**host().variables["cluster_host"], "os_id": system, "os_version": version}
    role = host(cluster_host=machine)
    assert deb822(role.render("provision.sources.j2")) == {
        "Types": "deb",
        "URIs": f"http://10.77.0.1:8080/apt/{system}-{version}/",
        "Suites": "./",
        "Signed-By": "/etc/apt/keyrings/provision.asc",
    }
    assert role.value("__host_mirrored") is True


def items(role: Role) -> dict[str, dict[str, Any]]:
    """The files of a role that has no bundle's key to read, by destination."""
    role.variables["__host_package_key"] = "key\n"
    return {item["dest"]: item for item in role.value("__host_files")}


@pytest.mark.parametrize(("family", "url"), [("debian", ""), ("redhat", "http://10.77.0.1:8080")])
def test_without_a_mirror_or_apt_the_systems_own_sources_are_used(family: str, url: str) -> None:
    role = host(family, cluster_mirror_url=url)
    assert role.value("__host_mirrored") is False
    found = items(role)
    for name in ("/etc/apt/keyrings/provision.asc", "/etc/apt/sources.list.d/provision.sources"):
        assert found[name]["state"] == "absent"


@pytest.mark.parametrize(
    ("family", "servers", "file", "included"),
    [
        ("debian", [], "/etc/chrony/conf.d/provision.conf", False),
        ("debian", ["a", "b"], "/etc/chrony/conf.d/provision.conf", False),
        ("redhat", [], "/etc/chrony.d/provision.conf", False),
        ("redhat", ["a", "b"], "/etc/chrony.d/provision.conf", True),
    ],
)
def test_the_time_service_reads_the_sites_servers(family: str, servers: list[str], file: str, included: bool) -> None:
    role = host(family, host_time_servers=servers)
    found = items(role)
    assert found[file]["state"] == "file"
    assert found["/etc/chrony.conf"]["block"] == (f"include {file}" if included else "")
    directives = role.render("chrony.conf.j2").splitlines()[1:]
    assert directives == [*(f"server {name} iburst" for name in servers), "makestep 1 3", "rtcsync"]


def test_where_another_keeps_the_clock_its_configuration_is_left_alone() -> None:
    assert items(host(host_time_sync_enabled=False))["/etc/chrony/conf.d/provision.conf"]["state"] == "absent"


def test_modules_are_one_a_line() -> None:
    lines = host(host_kernel_modules=["rbd"]).render("modules.conf.j2").splitlines()[1:]
    assert lines == ["overlay", "br_netfilter", "nf_conntrack", "rbd"]


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
