from __future__ import annotations

from pathlib import Path

import pytest

from provision import explain, inventory
from provision.errors import UsageError
from tests.unit.sites import FIXTURES, write_site


def test_a_value_that_comes_from_an_alias() -> None:
    found = explain.explain(inventory.load(FIXTURES / "kubespray.ini"), "cluster_version")
    assert (found.value, found.source, found.type, found.host) == ("1.36.4", "alias", "str", "master1")
    assert found.origin is not None
    assert found.origin.line == 20
    assert found.aliases == ("kube_version",)
    assert "Kubernetes version" in found.description


def test_kubesprays_name_explains_ours() -> None:
    site = inventory.load(FIXTURES / "kubespray.ini")
    assert explain.explain(site, "kube_version") == explain.explain(site, "cluster_version")


def test_defaults_of_the_cluster_and_of_roles() -> None:
    site = inventory.load(FIXTURES / "kubespray.ini")
    vip = explain.explain(site, "cluster_vip")
    assert (vip.value, vip.source) == ("", "default")
    option = explain.explain(site, "containerd_max_concurrent_downloads")
    assert (option.value, option.source) == (option.default, "role default")
    assert explain.explain(None, "cluster_vip").value == ""


def test_what_is_overridden_and_what_differs_by_host(tmp_path: Path) -> None:
    path = write_site(
        tmp_path,
        "cluster_domain=weak.example",
        files={
            "group_vars/all.yml": "cluster_domain: strong.example\n",
            "host_vars/node1.yml": "host_packages: [vim]\n",
        },
    )
    site = inventory.load(path)
    found = explain.explain(site, "cluster_domain", "node1")
    assert (found.value, found.source, found.host) == ("strong.example", "site", "node1")
    assert [(location.line, value) for location, value in found.overridden] == [(11, "weak.example")]
    assert explain.explain(site, "host_packages").per_host == (("node1", ["vim"]),)
    assert found.as_dict()["overridden"] == [{"origin": str(found.overridden[0][0]), "value": "weak.example"}]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cluster_vipp", "did you mean cluster_vip?"),
        ("registry", "mirror_registry_port"),
        ("kube_apiserver_request_timeout", "control_plane_apiserver_extra_args"),
        ("metrics_server_enabled", "install it in the finished cluster"),
        ("access_ip6", "from_kubespray"),
    ],
)
def test_unknown_names_get_a_suggestion(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain.explain(None, name)
    assert hint in (caught.value.hint or "")


def test_the_overlay_is_named_as_the_source(tmp_path: Path) -> None:
    overlay = tmp_path / "over" / "overlay.yml"
    overlay.parent.mkdir()
    overlay.write_text("all:\n  hosts:\n    cp1: {cluster_network_provider: routed}\n")
    site = inventory.load(write_site(tmp_path), overlay)
    assert explain.explain(site, "cluster_network_provider").source == "overlay"


def test_a_default_that_is_a_template_is_shown_as_the_site_sees_it(tmp_path: Path) -> None:
    site = inventory.load(write_site(tmp_path, "cluster_network_provider=cilium"))
    found = explain.explain(site, "control_plane_proxy_enabled")
    assert (found.value, found.source) == (False, "role default")
    assert found.per_host == ()


def test_names_that_set_nothing_of_ours_are_explained(tmp_path: Path) -> None:
    site = inventory.load(write_site(tmp_path, "container_manager=containerd"))
    found = explain.explain(site, "container_manager")
    assert (found.value, found.source) == ("containerd", "site")
    assert "sets nothing here: containerd is the only container runtime" in found.description
    address = explain.explain(site, "ansible_host", "node1")
    assert (address.value, address.source) == ("192.0.2.21", "site")
    unset = explain.explain(site, "ip")
    assert (unset.value, unset.origin, unset.source) == (None, None, "not set")
