"""The control plane's files, judged by the programs that read them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.plugins.loader import init_plugin_loader

from tests.render.rendering import Role

init_plugin_loader()

CLUSTER: dict[str, Any] = {
    "cluster_version": "1.36.4",
    "cluster_name": "site",
    "cluster_domain": "cluster.local",
    "cluster_pod_cidr": "10.244.0.0/16",
    "cluster_pod_prefix": 24,
    "cluster_service_cidr": "10.96.0.0/12",
    "cluster_api_host": "api.cluster.local",
    "cluster_api_ip": "10.77.0.10",
    "cluster_api_endpoint": "api.cluster.local:8443",
    "cluster_node_name": "cp1",
    "cluster_address": "10.77.0.11",
    "cluster_network_provider": "routed",
    "cluster_etcd_members": [{"host": f"cp{n}", "name": f"cp{n}", "address": f"10.77.0.1{n}"} for n in (1, 2, 3)],
}
SITES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "no-proxy": {"cluster_network_provider": "cilium"},
    "iptables": {"control_plane_proxy_mode": "iptables", "control_plane_proxy_conntrack_max_per_core": 0},
    "arguments": {
        "control_plane_apiserver_extra_args": [
            {"name": "profiling", "value": True},
            {"name": "event-ttl", "value": "2h"},
        ],
        "control_plane_scheduler_extra_args": [{"name": "v", "value": 4}],
        "control_plane_cert_sans": ["k8s.example.org", "192.0.2.1", "10.77.0.10"],
        "control_plane_feature_gates": ["AllAlpha=false"],
        "control_plane_key_algorithm": "RSA-4096",
        "control_plane_workloads_allowed": True,
    },
}


def site(name: str) -> Role:
    role = Role("control_plane", **(CLUSTER | SITES[name]))
    role.variables["ansible_search_path"] = [str(role.path)]
    return role


def documents(role: Role) -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in yaml.safe_load_all(role.value("__control_plane_config"))}


def arguments(document: dict[str, Any], component: str) -> dict[str, str]:
    return {argument["name"]: argument["value"] for argument in document[component]["extraArgs"]}


@pytest.mark.parametrize("name", SITES)
def test_kubeadm_takes_the_configuration(name: str, tmp_path: Path) -> None:
    kubeadm = shutil.which("kubeadm")
    if not kubeadm:
        pytest.skip("kubeadm is not installed here")
    path = tmp_path / "kubeadm.yaml"
    path.write_text(site(name).value("__control_plane_config"), encoding="utf-8")
    done = subprocess.run(
        [kubeadm, "config", "validate", "--config", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr.upper()


def test_the_defaults_are_safe() -> None:
    found = documents(site("defaults"))
    cluster = found["ClusterConfiguration"]
    server = arguments(cluster, "apiServer")
    assert server["encryption-provider-config"].endswith("encryption.yaml")
    assert server["kubelet-certificate-authority"] == "/etc/kubernetes/pki/ca.crt"
    assert "anonymous-auth" not in server
    assert server["enable-admission-plugins"] == "NodeRestriction"
    for component in ("apiServer", "controllerManager", "scheduler"):
        assert arguments(cluster, component)["profiling"] == "false"
        assert arguments(cluster, component)["tls-min-version"] == "VersionTLS12"
    assert cluster["dns"] == {"disabled": True}
    assert cluster["apiServer"]["certSANs"] == ["api.cluster.local", "10.77.0.10", "localhost", "127.0.0.1"]
    assert "taints" not in found["InitConfiguration"]["nodeRegistration"]


def test_a_sites_argument_replaces_ours() -> None:
    cluster = documents(site("arguments"))["ClusterConfiguration"]
    names = [argument["name"] for argument in cluster["apiServer"]["extraArgs"]]
    assert names.count("profiling") == 1
    assert arguments(cluster, "apiServer")["profiling"] == "True"
    assert arguments(cluster, "apiServer")["event-ttl"] == "2h"
    assert arguments(cluster, "apiServer")["feature-gates"] == "AllAlpha=false"


NEW = {"host": "new", "name": "new", "address": "10.77.0.99"}


def test_a_new_member_changes_nothing_on_the_others() -> None:
    """A list of hosts would make every control plane restart when one is added."""
    before = documents(site("defaults"))["ClusterConfiguration"]
    grown = {**CLUSTER, "cluster_etcd_members": [*CLUSTER["cluster_etcd_members"], NEW]}
    role = Role("control_plane", **grown, cluster_control_planes=[NEW])
    role.variables["ansible_search_path"] = [str(role.path)]
    assert documents(role)["ClusterConfiguration"] == before


def endpoints(role: Role, variable: str) -> list[str]:
    role.variables["ansible_search_path"] = [str(role.path)]
    found = {document["kind"]: document for document in yaml.safe_load_all(role.value(variable))}
    return list(found["ClusterConfiguration"]["etcd"]["external"]["endpoints"])


def test_keys_are_for_root_alone() -> None:
    role = site("defaults")
    role.variables["__control_plane_shared"] = {"contents": {"/etc/kubernetes/pki/ca.crt": "", "/x/ca.key": ""}}
    role.variables["__control_plane_etcd"] = {"contents": dict.fromkeys(role.value("__control_plane_etcd_files"), "")}
    for items in ("__control_plane_secret_files", "__control_plane_etcd_secret_files"):
        found = role.value(items)
        assert found
        for item in found:
            assert item["secret"] is True
            assert item["mode"] == ("0644" if item["dest"].endswith(".crt") else "0600"), item["dest"]


def test_an_api_server_asks_the_member_beside_it() -> None:
    everywhere = [f"https://10.77.0.1{n}:2379" for n in (1, 2, 3)]
    assert endpoints(site("defaults"), "__control_plane_config") == ["https://10.77.0.11:2379"]
    assert endpoints(site("defaults"), "__control_plane_cluster_config") == everywhere
    elsewhere = Role("control_plane", **{**CLUSTER, "cluster_address": "10.77.0.99"})
    assert endpoints(elsewhere, "__control_plane_config") == everywhere


def test_a_changed_policy_is_a_changed_pod() -> None:
    one, other = (
        site("defaults"),
        Role("control_plane", **CLUSTER, control_plane_audit_policy={"rules": [{"level": "None"}]}),
    )
    other.variables["ansible_search_path"] = [str(other.path)]
    assert (
        documents(one)["ClusterConfiguration"]["apiServer"]["extraEnvs"]
        != documents(other)["ClusterConfiguration"]["apiServer"]["extraEnvs"]
    )


def test_nobody_is_anonymous_except_for_health() -> None:
    found = yaml.safe_load(site("defaults").value("__control_plane_authentication"))
    assert [condition["path"] for condition in found["anonymous"]["conditions"]] == ["/livez", "/readyz", "/healthz"]
    assert "jwt" not in found


def test_authenticators_are_passed_on() -> None:
    issuer = {"issuer": {"url": "https://id.example.org", "audiences": ["kubernetes"]}}
    role = Role("control_plane", **CLUSTER, control_plane_jwt_authenticators=[issuer])
    role.variables["ansible_search_path"] = [str(role.path)]
    assert yaml.safe_load(role.value("__control_plane_authentication"))["jwt"] == [issuer]


def test_the_audit_policy_never_holds_secrets() -> None:
    policy = yaml.safe_load(site("defaults").value("__control_plane_audit_policy"))
    for rule in policy["rules"]:
        if rule["level"] in {"Request", "RequestResponse"}:
            break
        resources = [name for group in rule.get("resources", []) for name in group.get("resources", [])]
        if "secrets" in resources:
            assert rule["level"] == "Metadata"
            return
    pytest.fail("secrets are not held to Metadata before the first rule that writes contents")


def test_units_are_what_systemd_reads(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    for name in ("csr-approver.service.j2", "csr-approver.timer.j2"):
        text = site("defaults").render(name)
        (tmp_path / f"provision-{name.removesuffix('.j2')}").write_text(text, encoding="utf-8")
        assert text.startswith("# Managed by provision.\n[Unit]\n")
    if analyze:
        units = [str(path) for path in tmp_path.iterdir()]
        done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
        assert "Unknown" not in done.stderr, done.stderr


@pytest.mark.parametrize("name", SITES)
def test_the_probe_reads_back_what_the_cluster_was_made_with(name: str) -> None:
    from tests.unit.module_runner import load

    settings_of = load("probe").facts.settings_of

    role, network = site(name), {"routed": "10-provision.conflist", "cilium": "05-cilium.conflist"}
    provider = role.variables["cluster_network_provider"]

    found = settings_of(role.value("__control_plane_config"), [f"/etc/cni/net.d/{network[provider]}"])

    assert found == {
        "cluster_name": "site",
        "cluster_domain": "cluster.local",
        "cluster_pod_cidr": "10.244.0.0/16",
        "cluster_pod_prefix": "24",
        "cluster_service_cidr": "10.96.0.0/12",
        "cluster_api_port": "8443",
        "cluster_network_provider": provider,
        "control_plane_proxy_enabled": provider != "cilium",
    }
    assert settings_of("", ["/etc/cni/net.d/10-calico.conflist"]) == {}


@pytest.mark.parametrize(("planned", "host", "address"), [(True, "cp2", "10.77.0.12"), (False, "cp4", "10.77.0.14")])
def test_a_plan_asks_the_leader_for_one_that_is_to_come(planned: bool, host: str, address: str) -> None:
    planes = [{"host": f"cp{number}", "address": f"10.77.0.1{number}"} for number in (1, 2, 4)]
    facts = {"cluster_leader": "cp2", "cluster_control_planes": planes}
    role = Role("control_plane", inventory_hostname="cp4", ansible_check_mode=planned, **facts)
    assert role.value("__control_plane_asked") == host
    assert role.value("__control_plane_asked_address") == address
