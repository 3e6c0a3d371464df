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
        ("kube_log_level", None),
        ("registry", "mirror_registry_port"),
        ("container_manager", "containerd is the only container runtime"),
    ],
)
def test_unknown_names_get_a_suggestion(name: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        explain.explain(None, name)
    assert hint is None or hint in (caught.value.hint or "")


def test_the_overlay_is_named_as_the_source(tmp_path: Path) -> None:
    overlay = tmp_path / "over" / "overlay.yml"
    overlay.parent.mkdir()
    overlay.write_text("all:\n  hosts:\n    cp1: {cluster_network_provider: routed}\n")
    site = inventory.load(write_site(tmp_path), overlay)
    assert explain.explain(site, "cluster_network_provider").source == "overlay"
