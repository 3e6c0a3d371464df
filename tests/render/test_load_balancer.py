"""The balancer's configuration, read by the real HAProxy and keepalived."""

from __future__ import annotations

import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.render.rendering import Role

HOSTS = [{"host": f"M{n}", "name": f"m{n}", "address": f"10.77.0.{10 + n}"} for n in (1, 2, 3)]
# keepalived wants an interface that is there.
LINKS = sorted(state.parent.name for state in Path("/sys/class/net").glob("*/operstate") if state.read_text() == "up\n")
INTERFACE = LINKS[0] if LINKS else ""


def balancer(mode: str = "vip", count: int = 3, **options: Any) -> Role:
    inputs: dict[str, Any] = {
        "cluster_balancer": mode,
        "cluster_node_name": "m1",
        "cluster_address": "10.77.0.11",
        "cluster_load_balancers": HOSTS[:count],
        "cluster_control_planes": HOSTS[:count],
        "cluster_vip": "10.77.0.10" if mode == "vip" else "",
        "cluster_api_port": 8443,
        "cluster_host": {"vip": {"interface": INTERFACE, "prefix": 24}},
    }
    return Role("load_balancer", **(inputs | options))


@pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not installed")
@pytest.mark.parametrize(("mode", "count", "port"), list(product(["vip", "local"], [1, 2, 3], [8443, 7443])))
def test_haproxy_reads_it(tmp_path: Path, mode: str, count: int, port: int) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(balancer(mode, count, cluster_api_port=port).render("haproxy.cfg.j2"))

    checked = subprocess.run(["haproxy", "-c", "-f", config], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr
    assert f"bind {'*' if mode == 'vip' else '127.0.0.1'}:{port}" in config.read_text()
    assert config.read_text().count(":6443") == count
    assert ("frontend health" in config.read_text()) == (mode == "vip")


@pytest.mark.skipif(not shutil.which("keepalived") or not INTERFACE, reason="keepalived or an interface is missing")
@pytest.mark.parametrize(
    ("count", "options"),
    [
        (1, {}),
        (2, {}),
        (3, {}),
        (3, {"load_balancer_advert_interval": 1.0}),
        (3, {"load_balancer_advert_interval": 0.05, "load_balancer_router_id": 255}),
        (3, {"load_balancer_interface": INTERFACE, "cluster_vip": "10.77.0.0"}),
    ],
)
def test_keepalived_reads_it(tmp_path: Path, count: int, options: dict[str, Any]) -> None:
    role = balancer("vip", count, **options)
    config = tmp_path / "keepalived.conf"
    config.write_text(role.render("keepalived.conf.j2"))

    checked = subprocess.run(["keepalived", "-t", "-f", config], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr
    assert checked.stderr == ""


def test_every_host_has_its_own_priority_and_its_own_peers() -> None:
    roles = [balancer(cluster_node_name=host["name"], cluster_address=host["address"]) for host in HOSTS]

    assert len({role.value("__load_balancer_priority") for role in roles}) == 3
    for host, role in zip(HOSTS, roles, strict=True):
        text = role.render("keepalived.conf.j2")
        assert f"unicast_src_ip {host['address']}" in text
        assert f"    {host['address']} min_ttl" not in text
        assert text.count("min_ttl 255") == 2


def test_the_order_of_the_hosts_in_the_inventory_does_not_matter() -> None:
    other = balancer(cluster_load_balancers=HOSTS[::-1], cluster_control_planes=HOSTS[::-1])
    assert balancer().render("keepalived.conf.j2") == other.render("keepalived.conf.j2")
    assert balancer().render("haproxy.cfg.j2") == other.render("haproxy.cfg.j2")


@pytest.mark.parametrize(("vip", "router_id"), [("10.77.0.10", 10), ("10.77.1.0", 1), ("10.77.0.255", 255)])
def test_the_router_id_follows_from_the_vip(vip: str, router_id: int) -> None:
    assert balancer(cluster_vip=vip).value("__load_balancer_own_router_id") == router_id


def test_the_check_script_is_sound_bash(tmp_path: Path) -> None:
    script = tmp_path / "check"
    script.write_text(balancer().render("check-api.j2"))
    subprocess.run(["bash", "-n", script], check=True)


def test_local_balancers_ask_the_api_servers_less_often() -> None:
    assert "inter 500ms" in balancer("vip").render("haproxy.cfg.j2")
    assert "inter 2000ms" in balancer("local").render("haproxy.cfg.j2")
    assert "inter 900ms" in balancer("local", load_balancer_check_interval_ms=900).render("haproxy.cfg.j2")
