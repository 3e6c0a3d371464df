"""A rehearsal's copy is the site with other addresses: nothing else of it changes, and vaults stay closed."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from provision import inventory
from provision.errors import InvalidInput, PreflightRefused
from provision.inventory import Site
from provision.rehearsal import copy, network
from provision.sandbox import checks

from .sites import write_site

HOSTS = """[kube_control_plane]
cp1 ansible_host=192.0.2.11 ip=198.51.100.11

[kube_node]
w1 ansible_host=192.0.2.21
w2
[gpu_node]
gpu1 ansible_host=gpu1.example.org
"""
FILES = {
    "group_vars/all.yml": "cluster_vip: 192.0.2.10\nhost_time_servers: [192.0.2.1, 192.0.2.110]\n",
    "host_vars/w2.yml": "ansible_host: 192.0.2.22\n",
    "host_vars/w1/vault.yml": "$ANSIBLE_VAULT;1.1;AES256\n192.0.2.11\n",
}
SUBNET = IPv4Network("10.94.0.0/24")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_STATE_DIR", str(tmp_path / "state"))


def site_of(tmp_path: Path, variables: str = "cluster_name=mine", **files: str) -> Site:
    directory = tmp_path / "site"
    directory.mkdir()
    contents = {name: text for name, text in {**FILES, **files}.items() if "vault" not in name}
    return inventory.load(write_site(directory, variables, contents, HOSTS))


def test_hosts_keep_their_last_number_where_it_is_free(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    moved = network.move(site, site.hosts, SUBNET)
    assert moved.vip == "10.94.0.10"
    assert moved.hosts == {"cp1": "10.94.0.11", "w1": "10.94.0.21", "w2": "10.94.0.22", "gpu1": "10.94.0.254"}
    assert moved.replaced["198.51.100.11"] == moved.replaced["192.0.2.11"] == "10.94.0.11"


def test_the_copy_is_the_same_site_elsewhere(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    moved = network.move(site, site.hosts, SUBNET)
    again = inventory.load(copy.write(site, moved, [host.name for host in site.hosts]))
    assert {host.name: (host.address, host.connect_address) for host in again.hosts} == {
        name: (address, address) for name, address in moved.hosts.items()
    }
    assert {name: set(hosts) for name, hosts in again.groups.items() if hosts} == {
        name: set(hosts) for name, hosts in site.groups.items() if hosts
    }
    assert (again.setting("cluster_vip"), again.setting("cluster_name")) == ("10.94.0.10", "mine")
    # Only whole addresses that have a new one are replaced.
    assert again.setting("host_time_servers") == ["192.0.2.1", "192.0.2.110"]


def test_hosts_that_do_not_take_part_leave_no_trace(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    file = copy.write(site, network.move(site, site.hosts, SUBNET), ["cp1", "gpu1"])
    assert [host.name for host in inventory.load(file).hosts] == ["cp1", "gpu1"]
    assert not (file.parent / "host_vars/w2.yml").exists()


def test_closed_vaults_are_carried_on_as_they_are(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    vault = site.path.parent / "host_vars/w1/vault.yml"
    vault.parent.mkdir()
    vault.write_text(FILES["host_vars/w1/vault.yml"])
    file = copy.write(site, network.move(site, site.hosts, SUBNET), ["cp1", "w1"])
    copied = file.parent / "host_vars/w1/vault.yml"
    assert copied.read_text() == vault.read_text()
    assert copied.stat().st_mode & 0o077 == 0


def test_an_external_balancer_is_replaced_by_local_ones(tmp_path: Path) -> None:
    variables = "cluster_api_address=k8s.example.org"
    site = site_of(tmp_path, variables, **{"group_vars/all.yml": "cluster_vip: ''\n"})
    again = inventory.load(copy.write(site, network.move(site, site.hosts, SUBNET), ["cp1"]))
    assert (site.api_mode, again.api_mode) == ("external", "local")


@pytest.mark.parametrize(
    ("workers", "names"),
    [(None, ["cp1", "w1", "w2", "gpu1"]), (2, ["cp1", "w1", "gpu1"]), (1, ["cp1", "w1"]), (0, ["cp1"])],
)
def test_a_sample_has_all_control_planes_and_every_kind_of_worker(
    tmp_path: Path, workers: int | None, names: list[str]
) -> None:
    assert [host.name for host in copy.choose(site_of(tmp_path), workers)] == names


def test_a_vault_without_its_password_is_named(tmp_path: Path) -> None:
    inline = "secret: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132\n"
    site = site_of(tmp_path, **{"group_vars/k8s_cluster.yml": inline})
    with pytest.raises(PreflightRefused, match=r"secret \(.*k8s_cluster.yml"):
        copy.require_readable(site)


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("192.0.2.11", "X"),
        ("192.0.2.11/24", "X/24"),
        ("192.0.2.110", None),
        ("1.192.0.2.11", None),
        ("a=192.0.2.11,b", "a=X,b"),
    ],
)
def test_only_whole_addresses_are_replaced(text: str, moved: str | None) -> None:
    assert copy.moved_text(text, {"192.0.2.11": "X"}) == (moved or text)


def test_the_network_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {"10.78.0.0/24"}

    def check(asked: object) -> None:
        if getattr(asked, "subnet", "") in taken:
            raise PreflightRefused("taken")

    monkeypatch.setattr(checks, "check_subnet", check)
    site = site_of(tmp_path, "cluster_pod_cidr=10.77.0.0/16")
    assert str(network.free_subnet(site)) == "10.79.0.0/24"
    assert str(network.free_subnet(site, "10.94.0.0/24")) == "10.94.0.0/24"
    with pytest.raises(PreflightRefused):
        network.free_subnet(site, "10.78.0.0/24")
    for wrong in ("10.94.0.0/16", "here"):
        with pytest.raises(InvalidInput):
            network.free_subnet(site, wrong)


def test_a_value_in_an_open_vault_goes_along_encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible.parsing.vault import VaultLib, VaultSecret

    (tmp_path / "password").write_text("open")
    closed = VaultLib().encrypt("word", VaultSecret(b"open")).decode()
    value = "\n".join(f"  {line}" for line in closed.splitlines())
    site = site_of(tmp_path, **{"group_vars/k8s_cluster.yml": f"cluster_domain: !vault |\n{value}\n"})
    with pytest.raises(PreflightRefused):
        copy.require_readable(site)
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "password"))
    site = inventory.load(site.path)
    copy.require_readable(site)
    file = copy.write(site, network.move(site, site.hosts, SUBNET), ["cp1", "w1"])
    assert "word" not in (file.parent / "group_vars/k8s_cluster.yml").read_text()
    assert inventory.load(file).setting("cluster_domain") == "word"
