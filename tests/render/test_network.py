"""The network's configuration, read by the programs that it is for, and by the schemas of the charts."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.render.rendering import ROLES, Role

CHARTS = Path(__file__).parents[3] / "shared" / "chart-data"
PLANES = [{"host": f"M{n}", "name": f"m{n}", "address": f"10.77.0.{10 + n}"} for n in (1, 2, 3)]
needs_charts = pytest.mark.skipif(not CHARTS.is_dir(), reason="../shared/chart-data is missing")


def network(name: str = "m1", address: str = "10.77.0.11", planes: int = 3, **options: Any) -> Role:
    inputs: dict[str, Any] = {
        "inventory_hostname": name,
        "cluster_network_provider": "routed",
        "cluster_pod_cidr": "10.244.0.0/16",
        "cluster_pod_prefix": 24,
        "cluster_node_name": name,
        "cluster_address": address,
        "cluster_control_planes": PLANES[:planes],
        "cluster_leader": "m1",
        "cluster_api_mode": "vip",
        "cluster_api_ip": "10.77.0.10",
        "cluster_api_host": "api.cluster.local",
        "cluster_api_port": 8443,
        "cluster_name": "kubernetes",
        "cluster_artifacts": {},
        "cluster_host": {
            "os_family": "debian",
            "arch": "amd64",
            "interfaces": [{"name": "eth0", "addresses": [{"address": address, "prefix": 24}]}],
        },
        "__network_ranges": {"pod_cidrs": {name.lower(): "10.244.1.0/24"}},
    }
    return Role("network", ansible_search_path=[str(ROLES / "network")], **(inputs | options))


def bird_reads(text: str, folder: Path) -> None:
    file = folder / "bird.conf"
    file.write_text(text)
    checked = subprocess.run(["bird", "-p", "-c", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr + text


@pytest.mark.skipif(not shutil.which("bird"), reason="bird is not installed")
@pytest.mark.parametrize(
    ("name", "planes", "options"),
    list(
        product(
            ["m1", "worker-1.example"],
            [1, 3],
            [
                {},
                {"network_bgp_password": "secret, with a blank"},
                {"network_bgp_asn": 4200000000, "network_bgp_peer_ranges": ["10.0.0.0/8", "192.168.3.0/24"]},
                {"cluster_pod_cidr": "172.20.0.0/14", "cluster_pod_prefix": 22},
            ],
        )
    ),
)
def test_bird_reads_it(tmp_path: Path, name: str, planes: int, options: dict[str, Any]) -> None:
    bird_reads(network(name, planes=planes, **options).render("bird.conf.j2"), tmp_path)


def test_a_control_plane_takes_any_node_of_its_subnet_and_knows_the_other_control_planes() -> None:
    text = network().render("bird.conf.j2")

    assert "neighbor range 10.77.0.0/24 as 64512;" in text
    assert "neighbor 10.77.0.12 as 64512;" in text
    assert "neighbor 10.77.0.11" not in text


def test_a_worker_has_one_session_to_each_control_plane_and_passes_nothing_on() -> None:
    text = network("w1", "10.77.0.21").render("bird.conf.j2")

    assert text.count("from mesh") == 3
    assert "neighbor range" not in text
    assert "export where source = RTS_STATIC;" in text


def test_a_new_worker_changes_nothing_on_the_others() -> None:
    """Nothing of a node's configuration depends on which workers there are."""
    before = network().render("bird.conf.j2")
    after = network(cluster_nodes=["m1", "m2", "m3", "w1", "w2"]).render("bird.conf.j2")

    assert before == after


@pytest.mark.parametrize("mtu", [0, 1450])
def test_the_conflist_is_json_that_the_plugins_know(mtu: int) -> None:
    conflist = json.loads(network(network_mtu=mtu).render("bridge.conflist.j2"))

    bridge, portmap = conflist["plugins"]
    assert (bridge["type"], portmap["type"]) == ("bridge", "portmap")
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]
    assert bridge["mtu"] == mtu
    assert bridge["ipMasq"] is False


@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
def test_nft_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "masquerade.nft"
    file.write_text(network().render("masquerade.nft.j2"))

    checked = subprocess.run(["nft", "-c", "-f", file], capture_output=True, text=True, check=False)

    if "Operation not permitted" in checked.stderr:
        pytest.skip("nft needs root")
    assert checked.returncode == 0, checked.stderr


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    file = tmp_path / "provision-masquerade.service"
    file.write_text(network().render("masquerade.service.j2"))

    checked = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)

    assert "provision-masquerade" not in checked.stderr.replace("nft is not executable", ""), checked.stderr


def values(provider: str, **options: Any) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(network(**options).render(f"{provider}.yml.j2"))
    return parsed


MATRIX = [
    {"network_encapsulation": encapsulation, "network_mtu": mtu, "network_kube_proxy_replacement": replaces}
    for encapsulation, mtu, replaces in product(["always", "cross_subnet", "never"], [0, 1400], [False, True])
]


def paths(tree: dict[str, Any], prefix: str = "") -> set[str]:
    """The dotted paths of all keys; lists and scalars end one."""
    found = set()
    for key, value in tree.items():
        found |= {f"{prefix}{key}"} if not isinstance(value, dict) else paths(value, f"{prefix}{key}.")
    return found


@needs_charts
@pytest.mark.needs_shared
@pytest.mark.parametrize("options", MATRIX)
def test_cilium_accepts_the_values(options: dict[str, Any]) -> None:
    ours = values("cilium", **options)
    schema = json.loads((CHARTS / "cilium" / "values.schema.json").read_text())
    known = paths(yaml.safe_load((CHARTS / "cilium" / "values.yaml").read_text()))

    jsonschema.validate(ours, schema)
    assert paths(ours) <= known


@needs_charts
@pytest.mark.needs_shared
@pytest.mark.parametrize("options", MATRIX)
def test_flannel_has_every_value(options: dict[str, Any]) -> None:
    text = (CHARTS / "flannel" / "values.yaml").read_text()
    ours = values("flannel", **options)

    # Some of the chart's keys stand in its comments alone.
    missing = [
        path
        for path in paths(ours) - paths(yaml.safe_load(text))
        if f"#{path.split('.')[-1]}:" not in text.replace(" ", "")
    ]
    assert missing == []
    assert ours["podCidr"] == "10.244.0.0/16"


@needs_charts
@pytest.mark.needs_shared
@pytest.mark.parametrize("options", MATRIX)
def test_the_calico_operator_has_every_value(options: dict[str, Any]) -> None:
    text = (CHARTS / "tigera-operator-3.32" / "values.yaml").read_text()
    ours = values("calico", **options)
    free = ours["installation"]["calicoNetwork"]  # the chart passes it on to the Installation object

    assert set(ours) <= set(yaml.safe_load(text))
    for key in {*free, *free["ipPools"][0]} - {"nodeAddressAutodetectionV4"}:
        assert f"{key}:" in text
    assert free["ipPools"][0]["encapsulation"] in text


@pytest.mark.parametrize(
    ("encapsulation", "calico", "cilium", "flannel"),
    [
        ("always", "VXLAN", "tunnel", ("vxlan", None)),
        ("cross_subnet", "VXLANCrossSubnet", "tunnel", ("vxlan", True)),
        ("never", "None", "native", ("host-gw", None)),
    ],
)
def test_encapsulation_means_the_same_everywhere(
    encapsulation: str, calico: str, cilium: str, flannel: tuple[str, bool | None]
) -> None:
    options = {"network_encapsulation": encapsulation}

    assert values("calico", **options)["installation"]["calicoNetwork"]["ipPools"][0]["encapsulation"] == calico
    assert values("cilium", **options)["routingMode"] == cilium
    ours = values("flannel", **options)["flannel"]
    assert (ours["backend"], ours.get("directRouting")) == flannel


def test_cilium_reaches_the_api_without_kube_proxy() -> None:
    ours = values("cilium", network_kube_proxy_replacement=True)

    assert (ours["k8sServiceHost"], ours["k8sServicePort"]) == ("10.77.0.10", 8443)
    assert values("cilium").get("k8sServiceHost") is None


def charts(provider: str, **options: Any) -> Role:
    return network(cluster_network_provider=provider, **options)


@pytest.mark.parametrize("provider", ["calico", "cilium", "flannel"])
def test_a_chart_without_a_checksum_is_not_installed(provider: str) -> None:
    names = ["helm", *(chart["artifact"] for chart in charts(provider).value("__network_charts")[provider])]
    given = {name: {"version": "1", "url": f"https://example.org/{name}", "sha256": "0" * 64} for name in names}

    assert charts(provider).value("__network_unverified") == names
    assert charts(provider, network_chart_artifacts=given).value("__network_unverified") == []
    assert charts(provider, cluster_artifacts=given).value("__network_unverified") == []


def test_calico_gets_its_definitions_first_and_the_site_has_the_last_word() -> None:
    definitions, calico = charts("calico", network_chart_values={"whisker": {"enabled": True}}).value(
        "__network_releases"
    )

    assert definitions["apply"] is True
    assert definitions["values"] == {}
    assert calico["chart"].endswith("/calico_chart.tgz")
    assert calico["values"]["whisker"]["enabled"] is True
    assert calico["values"]["goldmane"]["enabled"] is False


def test_helm_comes_out_of_its_archive_and_a_chart_stays_one() -> None:
    helm, chart = charts("cilium").value("__network_chart_items")

    assert helm["install"] == [{"member": "linux-amd64/helm", "dest": "/usr/local/bin/helm", "mode": "0755"}]
    assert chart["install"] == [{"dest": "/var/lib/provision/charts/cilium_chart.tgz", "mode": "0644"}]
