"""What the roles do on a machine with a kernel, a clock and a boot of its own."""

from __future__ import annotations

import time

import pytest

from tests.e2e.site import Site, eventually

MODULES = ("overlay", "br_netfilter", "nf_conntrack")
SYSCTLS = {"net.ipv4.ip_forward": 1, "net.bridge.bridge-nf-call-iptables": 1, "vm.overcommit_memory": 1}
SERVICES = ("containerd", "haproxy", "keepalived", "chrony")
ORDERS = (("systemd-modules-load", "systemd-sysctl"), ("systemd-sysctl", "containerd"), ("haproxy", "keepalived"))
"""Which unit starts before which."""
BOOT_SECONDS = 300
"""An emulated processor on a busy machine."""


def holders(site: Site) -> list[str]:
    """The machines that hold the VIP, of those that answer."""
    vip = f"{site.network}.10"
    return [name for name in site.names if f" {vip}/" in site.host(name).run("ip -oneline address").stdout]


def holder(site: Site) -> str:
    """The one machine that holds the VIP, once there is exactly one."""
    found: list[str] = []

    def one() -> None:
        found[:] = holders(site)
        assert len(found) == 1, found

    eventually(one, seconds=60)
    return found[0]


def other(site: Site, name: str) -> str:
    return next(each for each in site.names if each != name)


def answering(site: Site, asked_from: str) -> str:
    """Which machine's API answers on the VIP."""
    return site.run(asked_from, f"curl --fail --silent --insecure --max-time 20 https://{site.network}.10:8443/readyz")


def boot_id(site: Site, name: str) -> str:
    return str(site.host(name).run("cat /proc/sys/kernel/random/boot_id").stdout).strip()


def check_settled(site: Site, name: str) -> None:
    """Everything that the roles set up is in force, as a machine finds it that has just started."""
    asked = (
        "systemctl is-system-running --wait",
        f"systemctl is-active {' '.join(SERVICES)}",
        "cat /proc/modules /lib/modules/$(uname -r)/modules.builtin",
        f"sysctl --values {' '.join(SYSCTLS)}",
        "cat /proc/swaps",
    )
    # All at once: each connection takes an emulated machine seconds.
    state, active, loaded, values, swaps = site.run(name, "; echo ---; ".join(asked)).split("---\n")
    assert state.strip() == "running"
    assert active.split() == ["active"] * len(SERVICES)
    for module in MODULES:
        assert module in loaded, module
    assert dict(zip(SYSCTLS, map(int, values.split()), strict=True)) == SYSCTLS
    assert len(swaps.splitlines()) == 1


@pytest.mark.parametrize("name", ["vm1", "vm2"])
def test_it_is_a_machine_of_its_own(pair: Site, name: str) -> None:
    assert site_kind(pair, name) not in ("none", "docker", "podman", "lxc")
    assert pair.run(name, "stat --file-system --format %T /sys/fs/cgroup").strip() == "cgroup2fs"
    check_settled(pair, name)


def site_kind(site: Site, name: str) -> str:
    return site.run(name, "systemd-detect-virt").strip()


def test_containerd_runs_a_container_within_its_limit(pair: Site) -> None:
    assert " v2.3." in pair.run("vm1", "containerd --version")
    image = pair.run("vm1", "sed -n \"s/ *sandbox = '\\(.*\\)'/\\1/p\" /etc/containerd/config.toml").strip()
    pair.run("vm1", f"ctr images pull --hosts-dir /etc/containerd/certs.d {image}")
    group = "--runc-systemd-cgroup --cgroup vm.slice:vm:waits"
    pair.run("vm1", f"ctr run --detach {group} --memory-limit 33554432 {image} waits")
    try:
        assert "RUNNING" in pair.run("vm1", "ctr tasks list")
        limit = pair.run("vm1", "cat /sys/fs/cgroup/vm.slice/vm-waits.scope/memory.max")
        assert int(limit) == 33554432
    finally:
        pair.run("vm1", "ctr tasks kill --signal KILL waits; sleep 1; ctr containers delete waits")


def test_a_wrong_clock_is_put_right(pair: Site) -> None:
    pair.run("vm2", "systemctl stop chrony && date --set '+20 minutes' && systemctl start chrony")

    pair.run("vm2", "chronyc -n waitsync 60 1 0 2")

    assert abs(float(pair.run("vm2", "date +%s")) - time.time()) < 5
    assert f"^* {pair.network}.1 " in pair.run("vm2", "chronyc -n sources")


def test_the_vip_answers_through_the_other_machine_too(pair: Site) -> None:
    name = holder(pair)

    assert answering(pair, other(pair, name)) in pair.names


def test_the_holder_of_the_vip_reboots_by_itself(pair: Site, durations: dict[str, float]) -> None:
    rebooted = holder(pair)
    stays = other(pair, rebooted)
    before = boot_id(pair, rebooted)
    started = time.monotonic()

    pair.host(rebooted).run("systemctl reboot")
    eventually(lambda: _holds(pair, stays), seconds=60)
    durations["VIP moved"] = time.monotonic() - started
    assert answering(pair, stays) in pair.names

    eventually(lambda: _rebooted(pair, rebooted, before), seconds=BOOT_SECONDS)
    check_settled(pair, rebooted)
    durations["rebooted"] = time.monotonic() - started
    assert holder(pair) == stays


@pytest.mark.parametrize("name", ["vm1", "vm2"])
def test_units_start_in_order(pair: Site, name: str) -> None:
    units = [f"{unit}.service" for order in ORDERS for unit in order]
    shown = pair.run(name, f"systemctl show --value --property ActiveEnterTimestampMonotonic {' '.join(units)}")
    times = list(map(int, shown.split()))
    for order, earlier, later in zip(ORDERS, times[::2], times[1::2], strict=True):
        assert 0 < earlier <= later, order


def test_a_machine_that_lost_its_power_comes_back_with_its_disk(pair: Site, durations: dict[str, float]) -> None:
    killed = holder(pair)
    pair.run(killed, "echo kept >/var/kept && sync /var/kept")
    before = boot_id(pair, killed)
    started = time.monotonic()

    pair.kill(killed)
    eventually(lambda: _holds(pair, other(pair, killed)), seconds=60)
    pair.up()
    durations["powered on again"] = time.monotonic() - started

    assert boot_id(pair, killed) != before
    assert pair.run(killed, "cat /var/kept").strip() == "kept"
    check_settled(pair, killed)


def _holds(site: Site, name: str) -> None:
    vip = f"{site.network}.10"
    assert f" {vip}/" in site.run(name, "ip -oneline address")


def _rebooted(site: Site, name: str, before: str) -> None:
    assert boot_id(site, name) not in ("", before)
