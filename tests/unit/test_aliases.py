from __future__ import annotations

from pathlib import Path

import pytest

from provision import aliases, inventory, specs
from provision.aliases import AliasRefused
from tests.unit.sites import write_site


@pytest.mark.parametrize(
    ("name", "value", "translated"),
    [
        ("kube_version", "v1.36.4", {"cluster_version": "1.36.4"}),
        ("kube_version", "1.36.4", {"cluster_version": "1.36.4"}),
        ("kube_network_plugin", "calico", {"cluster_network_provider": "calico"}),
        ("container_manager", "containerd", {}),
        ("kube_pods_subnet", "10.1.0.0/16", {"cluster_pod_cidr": "10.1.0.0/16"}),
        ("dns_domain", "{{ cluster_name }}", {"cluster_domain": "{{ cluster_name }}"}),
        ("loadbalancer_apiserver", {"address": "192.0.2.1"}, {"cluster_vip": "192.0.2.1"}),
        ("loadbalancer_apiserver", {"address": "a", "port": 1}, {"cluster_vip": "a", "cluster_api_port": 1}),
        ("kube_apiserver_port", "6443", {}),
        ("etcd_quota_backend_bytes", "2G", {"etcd_quota_mb": 2048}),
        ("additional_sysctl", [{"name": "a.b", "value": 1}], {"host_sysctl": {"a.b": 1}}),
        (
            "containerd_registries_mirrors",
            [{"prefix": "docker.io", "mirrors": [{"host": "https://m", "capabilities": ["pull"]}]}],
            {"containerd_registry_mirrors": {"docker.io": ["https://m"]}},
        ),
        ("kubelet_fail_swap_on", True, {"host_swap": "off"}),
        ("kube_manifest_dir", "{{ kube_config_dir }}/manifests", {}),
    ],
)
def test_values_are_translated(name: str, value: object, translated: dict[str, object]) -> None:
    assert aliases.translate({name: value}) == translated


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("container_manager", "docker", "only containerd"),
        ("kube_network_plugin", "weave", "only calico, cilium, flannel"),
        ("kube_apiserver_port", 8443, "only 6443"),
        ("kube_version", "{{ version }}", "cluster_version"),
        ("loadbalancer_apiserver", "192.0.2.1", "mapping"),
        (
            "containerd_registries_mirrors",
            [{"prefix": "a", "mirrors": [{"host": "b", "skip_verify": True}]}],
            "counterpart",
        ),
        ("etcd_quota_backend_bytes", "much", "etcd_quota_mb"),
    ],
)
def test_values_without_a_meaning_are_refused(name: str, value: object, said: str) -> None:
    with pytest.raises(AliasRefused, match=said):
        aliases.translate({name: value})
    with aliases.refusals_left_out():
        assert aliases.translate({name: value}) == {}


def test_two_names_that_add_to_one_list_are_both_taken() -> None:
    variables = {
        "supplementary_addresses_in_ssl_keys": ["192.0.2.9"],
        "apiserver_loadbalancer_domain_name": "lb.example",
    }
    assert aliases.translate(variables) == {"control_plane_cert_sans": ["lb.example", "192.0.2.9"]}


def test_our_name_beside_the_alias_wins() -> None:
    assert aliases.translate({"kube_version": "v1.36.3", "cluster_version": "1.36.4"}) == {}


def test_a_default_of_ours_does_not_count_as_set() -> None:
    variables = {"kube_version": "v1.36.3", "cluster_version": "1.36.4"}
    assert aliases.translate(variables, {"cluster_version": "1.36.4"}) == {"cluster_version": "1.36.3"}


def test_cluster_name_is_kubesprays_only_with_a_dot() -> None:
    assert aliases.translate({"cluster_name": "cluster.local"}) == {"cluster_domain": "cluster.local"}
    assert aliases.translate({"cluster_name": "production"}) == {}


def test_an_alias_keeps_the_rank_of_the_place_where_it_is_written(tmp_path: Path) -> None:
    """In the inventory file it is weaker than group_vars/all, as any variable there."""
    site = write_site(tmp_path, "kube_version=v1.35.4", files={"group_vars/all.yml": "cluster_version: 1.36.3\n"})
    assert inventory.load(site).setting("cluster_version") == "1.36.3"


def test_an_alias_on_one_host_holds_for_that_host(tmp_path: Path) -> None:
    site = inventory.load(write_site(tmp_path, files={"host_vars/node1.yml": "calico_mtu: 1400\n"}))
    assert site.host("node1").vars["network_mtu"] == 1400
    assert "network_mtu" not in site.host("cp1").vars


def test_the_table_points_at_settings_that_exist() -> None:
    missing = {own for alias in aliases.table().values() for own in alias.own_names} - specs.specs().keys()
    assert not missing


def test_entries_of_the_table_are_complete() -> None:
    for name, alias in aliases.table().items():
        ways = (bool(alias.own or alias.fields), alias.only is not None, alias.any)
        assert sum(ways) == 1, name
        assert not alias.convert or alias.convert in aliases.CONVERSIONS, name
        assert not alias.any or alias.note, f"{name}: say why it has no effect"


def test_the_list_of_kubesprays_names_is_clean() -> None:
    file = Path(aliases.__file__).parent / "data" / "kubespray_variables.txt"
    names = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert names == sorted(set(names))
    assert {"kube_version", "kube_proxy_mode", "loadbalancer_apiserver"} <= aliases.kubespray_names()
    assert not any(name.startswith("cluster_") and name != "cluster_name" for name in names)


@pytest.mark.parametrize(
    ("name", "value", "idle"),
    [
        ("argocd_enabled", False, True),
        ("argocd_enabled", True, False),
        ("docker_options", "x", True),
        ("ndots", 2, False),
    ],
)
def test_settings_that_ask_for_nothing_are_idle(name: str, value: object, idle: bool) -> None:
    assert aliases.is_idle(name, value) is idle
