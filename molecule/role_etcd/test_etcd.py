"""Three members: a quorum over TLS that keeps its data."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.e2e.site import ETCDCTL, eventually
from tests.machines import Machines


@pytest.fixture
def leader(machines: Machines) -> str:
    return next(iter(machines.group("etcd")))


def test_all_members_are_healthy_and_agree(machines: Machines, leader: str) -> None:
    found = json.loads(machines.run(leader, f"{ETCDCTL} endpoint status --cluster --write-out json"))
    assert {one["Endpoint"] for one in found} == {
        f"https://{machines.address(name)}:2379" for name in machines.group("etcd")
    }
    assert len({one["Status"]["leader"] for one in found}) == 1
    listed = json.loads(machines.run(leader, f"{ETCDCTL} member list --write-out json"))["members"]
    assert {member["name"] for member in listed} == set(machines.group("etcd"))
    assert not any(member.get("isLearner") for member in listed)


def test_it_runs_as_its_own_user_now_and_after_a_reboot(machines: Machines) -> None:
    for name, host in machines.group("etcd").items():
        assert host.service("etcd").is_running, name
        assert host.service("etcd").is_enabled, name
        assert host.process.get(comm="etcd").user == "etcd", name


def test_clients_and_peers_need_a_certificate(machines: Machines, leader: str) -> None:
    for name in machines.group("etcd"):
        for port in (2379, 2380):
            place = f"{machines.address(name)}:{port}"
            said = (
                machines[name].run(f"openssl s_client -connect {place} -CAfile /etc/etcd/pki/ca.crt </dev/null").stdout
            )
            assert "Acceptable client certificate CA names" in said, place
            assert "Verify return code: 0" in said, place
    stranger = "etcdctl --cacert /etc/etcd/pki/ca.crt --command-timeout 1s"
    assert machines[leader].run(f"{stranger} get x").rc != 0


def test_metrics_are_not_shown_to_the_network(machines: Machines) -> None:
    for host in machines.group("etcd").values():
        assert host.socket("tcp://127.0.0.1:2381").is_listening
        assert not host.socket("tcp://0.0.0.0:2381").is_listening


@pytest.mark.parametrize("path", ["/etc/etcd", "/etc/etcd/pki", "/var/lib/etcd"])
def test_directories_are_for_etcd_alone(machines: Machines, path: str) -> None:
    for host in machines.group("etcd").values():
        found = host.file(path)
        assert (found.mode, found.user, found.group) == (0o700, "etcd", "etcd")


def test_keys_are_for_etcd_and_the_authority_for_root_alone(machines: Machines) -> None:
    for name, host in machines.group("etcd").items():
        keys = host.run("stat -c '%a %n' /etc/etcd/pki/*.key").stdout.split("\n")
        assert len(list(filter(None, keys))) >= 5, name
        assert all(line.startswith("600 ") for line in keys if line), name
        assert host.file("/etc/etcd/pki/ca.key").user == "root", name


def test_the_data_outlive_a_restart_of_all_members(machines: Machines, leader: str) -> None:
    machines.run(leader, f"{ETCDCTL} put /molecule/kept yes")
    for host in machines.group("etcd").values():
        assert host.run("systemctl restart --no-block etcd").rc == 0

    def kept() -> None:
        for name in machines.group("etcd"):
            assert machines.run(name, f"{ETCDCTL} get --print-value-only /molecule/kept").strip() == "yes"

    eventually(kept, seconds=30)


def test_one_member_can_be_lost(machines: Machines, leader: str) -> None:
    machines.run(leader, "systemctl stop etcd")
    other = list(machines.group("etcd"))[1]
    try:
        machines.run(other, f"{ETCDCTL} put /molecule/two yes")
    finally:
        machines.run(leader, "systemctl start etcd")


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "etcd_quota_mb" in refused(etcd_quota_mb="much")
    assert "etcd_quota_mb" in refused(etcd_quota_mbs=1)
