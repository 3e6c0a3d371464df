"""Which nodes and which network a site gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InvalidInput, Location
from provision.sandbox.plan import merge, plan
from provision.sandbox.record import Node
from provision.sandbox.site import SiteFacts, SiteHost, read_site
from tests.unit.sites import write_site


def _site(tmp_path: Path, *addresses: str, vip: str = "") -> SiteFacts:
    path = tmp_path / "site.ini"
    path.touch()
    hosts = (SiteHost(f"n{i}", address, Location(str(path), i)) for i, address in enumerate(addresses, 1))
    return SiteFacts(path, tuple(hosts), vip=vip)


def test_a_site_gets_a_node_a_host_in_one_network(tmp_path: Path) -> None:
    wanted = plan(_site(tmp_path, "192.0.2.11", "192.0.2.12"))

    assert (wanted.network.subnet, wanted.network.gateway) == ("192.0.2.0/24", "192.0.2.1")
    assert [(node.name, node.address) for node in wanted.nodes] == [("n1", "192.0.2.11"), ("n2", "192.0.2.12")]
    assert wanted.nodes[0].container == f"provision-{wanted.name}-n1"


def test_sites_of_the_same_name_get_different_sandboxes(tmp_path: Path) -> None:
    names = set()
    for place in ("a/lab", "b/lab"):
        (tmp_path / place).mkdir(parents=True)
        names.add(plan(_site(tmp_path / place, "192.0.2.11")).name)

    assert len(names) == 2
    assert all(name.startswith("lab-") for name in names)


def test_a_directory_and_its_file_are_one_site(tmp_path: Path) -> None:
    site = write_site(tmp_path, "cluster_vip=192.0.2.10")

    assert read_site(tmp_path) == read_site(site)
    assert read_site(site).vip == "192.0.2.10"


@pytest.mark.parametrize(
    ("addresses", "vip", "says"),
    [
        ((), "", "names no host"),
        (("192.0.2.11", "198.51.100.11"), "", "192.0.2.0/24, 198.51.100.0/24"),
        (("nas.example.org",), "", "site.ini:1: n1: 'nas.example.org' is not an IPv4 address"),
        (("192.0.2.1",), "", "uses 192.0.2.1"),
        (("192.0.2.11", "192.0.2.11"), "", "site.ini:2: n2 has the address of n1, 192.0.2.11"),
        (("192.0.2.11",), "192.0.2.1", "uses 192.0.2.1"),
    ],
)
def test_a_site_that_no_sandbox_can_carry_is_refused(
    addresses: tuple[str, ...], vip: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidInput) as refused:
        plan(_site(tmp_path, *addresses, vip=vip))

    assert says in str(refused.value)


def test_a_spare_takes_the_next_address_that_is_nobodys(tmp_path: Path) -> None:
    wanted = plan(_site(tmp_path, "192.0.2.11", "192.0.2.21", vip="192.0.2.22"), spare=True)

    assert wanted.nodes[-1] == Node("spare23", f"provision-{wanted.name}-spare23", "192.0.2.23", spare=True)


def test_a_full_network_has_no_spare(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no address left"):
        plan(_site(tmp_path, "192.0.2.254"), spare=True)


def test_a_spare_becomes_the_host_that_takes_its_address() -> None:
    spare = Node("spare22", "box-spare22", "192.0.2.22", spare=True)
    gone = Node("old", "box-old", "192.0.2.9")
    host = Node("w2", "box-w2", "192.0.2.22")

    assert merge([spare, gone], [host]) == (gone, Node("w2", "box-spare22", "192.0.2.22"))
