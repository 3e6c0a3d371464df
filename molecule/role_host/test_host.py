"""A machine that is ready to become a node: packages, kernel, names, time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.machines import Machines

EVERYWHERE = ("conntrack", "ethtool", "iptables", "nftables", "socat", "bird2")


@pytest.mark.parametrize("package", EVERYWHERE)
def test_every_host_has_what_a_node_needs(machines: Machines, package: str) -> None:
    for name, host in machines.group("tested").items():
        assert host.package(package).is_installed, name


@pytest.mark.parametrize("package", ["haproxy", "keepalived"])
def test_a_balancer_has_more(machines: Machines, package: str) -> None:
    for name, host in machines.group("tested").items():
        assert host.package(package).is_installed == (name in machines.group("load_balancer")), name


def test_packages_come_from_the_bundle_with_a_signature(machines: Machines) -> None:
    for name, host in machines.group("tested").items():
        source = host.file("/etc/apt/sources.list.d/provision.sources")
        assert source.contains("^Signed-By: /etc/apt/keyrings/provision.asc"), name
        assert host.file("/etc/apt/keyrings/provision.asc").contains("BEGIN PGP PUBLIC KEY"), name


def test_packets_are_forwarded_now_and_after_a_reboot(machines: Machines) -> None:
    for name, host in machines.group("tested").items():
        assert host.sysctl("net.ipv4.ip_forward") == 1, name
        assert host.file("/etc/sysctl.d/90-provision.conf").contains("^net.ipv4.ip_forward *= *1"), name


def test_the_whole_kernel_is_set_where_it_is_the_hosts_own(machines: Machines) -> None:
    for name, host in machines.group("tested").items():
        if host.run("systemd-detect-virt --container").rc == 0:
            assert not host.service("chrony").is_running, name
            continue
        assert host.sysctl("vm.overcommit_memory") == 1, name
        assert host.sysctl("net.bridge.bridge-nf-call-iptables") == 1, name
        assert host.run("lsmod").stdout.count("br_netfilter"), name
        assert host.service("chrony").is_running, name


def test_modules_are_loaded_at_boot(machines: Machines) -> None:
    for name, host in machines.group("tested").items():
        listed = host.file("/etc/modules-load.d/provision.conf").content_string.split()
        assert {"overlay", "br_netfilter", "nf_conntrack"} <= set(listed), name


def test_names_are_known_without_dns(machines: Machines) -> None:
    vip = str(machines.site.setting("cluster_vip"))
    for name, host in machines.group("tested").items():
        assert host.addr("api.cluster.local").ipv4_addresses == [vip], name
        assert host.addr("nas.example").ipv4_addresses == ["10.80.13.99"], name
        assert host.addr("localhost").is_resolvable, name


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "host_swap" in refused(host_swap="perhaps")
    assert "host_sysctl" in refused(host_sysctl=["vm.swappiness"])
