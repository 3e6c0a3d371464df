"""Two balancers share a VIP; one goes on when the other stops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.site import eventually
from tests.machines import Machines


@pytest.fixture
def vip(machines: Machines) -> str:
    return str(machines.site.setting("cluster_vip"))


def holders(machines: Machines, vip: str) -> list[str]:
    """The balancers that hold the VIP."""
    return [
        name
        for name, host in machines.group("load_balancer").items()
        if f" {vip}/" in host.check_output("ip -oneline address")
    ]


def answers(machines: Machines, vip: str) -> None:
    """Wait until the API answers on the VIP, asked from the third machine."""
    name = machines["api1"].check_output("hostname")

    def once() -> None:
        assert machines.run("api1", f"curl --fail --silent --insecure --max-time 2 https://{vip}:8443/readyz") == name

    eventually(once, seconds=20)


def held_by(machines: Machines, vip: str, *names: str) -> None:
    """Wait until one of these, and nobody else, holds the VIP."""

    def once() -> None:
        found = holders(machines, vip)
        assert len(found) == 1, found
        assert found[0] in names

    eventually(once, seconds=20, every=0.2)


@pytest.mark.parametrize("unit", ["haproxy", "keepalived"])
def test_it_runs_now_and_after_a_reboot(machines: Machines, unit: str) -> None:
    for name, host in machines.group("load_balancer").items():
        assert host.service(unit).is_running, name
        assert host.service(unit).is_enabled, name


def test_one_of_the_two_holds_the_vip_and_serves(machines: Machines, vip: str) -> None:
    held_by(machines, vip, "lb1", "lb2")
    answers(machines, vip)


def test_the_vip_moves_when_haproxy_stops_and_stays_when_it_returns(machines: Machines, vip: str) -> None:
    held_by(machines, vip, "lb1", "lb2")
    [holder] = holders(machines, vip)
    [other] = {"lb1", "lb2"} - {holder}
    machines.run(holder, "systemctl stop haproxy")
    try:
        held_by(machines, vip, other)
        answers(machines, vip)
    finally:
        machines.run(holder, "systemctl start haproxy")
    eventually(lambda: machines.run(holder, "/etc/keepalived/provision-check-api"), seconds=10)
    held_by(machines, vip, other)


def test_nobody_holds_the_vip_without_an_api(machines: Machines, vip: str) -> None:
    machines.run("api1", "systemctl stop api")
    try:

        def gone() -> None:
            assert holders(machines, vip) == []

        eventually(gone, seconds=20)
    finally:
        machines.run(
            "api1", "systemctl reset-failed api; systemd-run --unit api --working-directory /run python3 api.py"
        )
    held_by(machines, vip, "lb1", "lb2")


def test_a_server_can_be_drained(machines: Machines) -> None:
    command = "socat stdio /var/lib/haproxy/admin.sock"
    machines.run("lb1", f"echo 'set server api/api1 state drain' | {command}")
    try:
        [server] = [
            line for line in machines.run("lb1", f"echo 'show stat' | {command}").splitlines() if "api,api1," in line
        ]
        assert ",DRAIN" in server
    finally:
        machines.run("lb1", f"echo 'set server api/api1 state ready' | {command}")


@pytest.mark.parametrize(
    ("path", "group", "mode"),
    [
        ("/etc/haproxy/haproxy.cfg", "haproxy", 0o640),
        ("/etc/keepalived/keepalived.conf", "root", 0o640),
        ("/etc/keepalived/provision-check-api", "root", 0o755),
        ("/var/lib/haproxy/admin.sock", "root", 0o600),
    ],
)
def test_files_are_for_those_who_need_them(machines: Machines, path: str, group: str, mode: int) -> None:
    for name, host in machines.group("load_balancer").items():
        file = host.file(path)
        assert (file.user, file.group, file.mode) == ("root", group, mode), name


def test_the_health_of_the_balancer_is_not_shown_to_the_network(machines: Machines) -> None:
    for name, host in machines.group("load_balancer").items():
        assert host.socket("tcp://127.0.0.1:8404").is_listening, name
        assert not host.socket("tcp://0.0.0.0:8404").is_listening, name


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "load_balancer_router_id" in refused(load_balancer_router_id="one")
    assert "load_balancer_idle_timeout" in refused(load_balancer_idle_timeouts="1h")
