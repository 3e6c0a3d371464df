"""One control plane: it serves, and only to those who may ask."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.machines import Machines

KUBECTL = "kubectl --cache-dir /tmp/kubectl --kubeconfig /etc/kubernetes/admin.conf"
ETCDCTL = (
    "etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/etcd/pki/ca.crt"
    " --cert /etc/etcd/pki/healthcheck-client.crt --key /etc/etcd/pki/healthcheck-client.key"
)


def test_it_is_ready(machines: Machines) -> None:
    assert machines.run("cp1", f"{KUBECTL} get --raw /readyz").strip() == "ok"


@pytest.mark.parametrize("port", [10257, 10259], ids=["controller-manager", "scheduler"])
def test_its_parts_are_healthy_and_not_shown_to_the_network(machines: Machines, port: int) -> None:
    url = f"https://127.0.0.1:{port}/healthz"
    assert machines.run("cp1", f"curl --silent --insecure {url}") == "ok"
    assert not machines["cp1"].socket(f"tcp://0.0.0.0:{port}").is_listening


def test_the_api_is_reached_by_its_name_through_the_balancer(machines: Machines) -> None:
    shown = machines.run("cp1", f"{KUBECTL} config view --output jsonpath='{{.clusters[0].cluster.server}}'")
    assert shown == "https://api.cluster.local:8443"


@pytest.mark.parametrize("path", ["/api/v1/secrets", "/metrics"])
def test_nobody_is_let_in_without_a_name(machines: Machines, path: str) -> None:
    url = f"https://{machines.address('cp1')}:6443{path}"
    code = machines.run("cp1", f"curl --silent --insecure --output /dev/null --write-out '%{{http_code}}' {url}")
    assert code in ("401", "403")


def test_secrets_are_encrypted_in_etcd(machines: Machines) -> None:
    machines.run("cp1", f"{KUBECTL} create secret generic molecule --from-literal=word=in-plain-sight")
    try:
        stored = machines.run("cp1", f"{ETCDCTL} get /registry/secrets/default/molecule | cat -v")
        assert "k8s:enc:" in stored
        assert "in-plain-sight" not in stored
    finally:
        machines.run("cp1", f"{KUBECTL} delete secret molecule")


def test_what_is_asked_is_audited(machines: Machines) -> None:
    machines.run("cp1", f"{KUBECTL} create configmap audited")
    machines.run("cp1", f"{KUBECTL} delete configmap audited")
    log = machines["cp1"].file("/var/log/kubernetes/audit/audit.log")
    assert log.mode & 0o077 == 0
    events = [json.loads(line) for line in machines.run("cp1", f"grep '\"audited\"' {log.path}").splitlines()]
    assert {event["verb"] for event in events} >= {"create", "delete"}


def test_keys_are_roots_alone(machines: Machines) -> None:
    found = machines.run(
        "cp1", "stat --format '%a %U %n' $(find /etc/kubernetes -name '*.key' -o -name '*.conf' -type f)"
    )
    lines = [line.split() for line in found.splitlines()]
    assert any(path.endswith("/ca.key") for *_, path in lines)
    assert all((mode, owner) == ("600", "root") for mode, owner, _ in lines), found


@pytest.mark.parametrize("name", ["encryption.yaml", "audit-policy.yaml", "authentication.yaml"])
def test_settings_of_the_api_server_are_roots_alone(machines: Machines, name: str) -> None:
    file = machines["cp1"].file(f"/etc/kubernetes/provision/apiserver/{name}")
    assert (file.user, file.mode) == ("root", 0o600)


@pytest.mark.parametrize(
    "flag",
    [
        "--audit-policy-file=",
        "--encryption-provider-config=",
        "--authentication-config=",
        "--kubelet-certificate-authority=",
    ],
)
def test_the_api_server_runs_with(machines: Machines, flag: str) -> None:
    assert flag in machines.run("cp1", "tr '\\0' '\\n' </proc/$(pgrep -x kube-apiserver)/cmdline")


def test_serving_certificates_go_on_being_approved(machines: Machines) -> None:
    timer = machines["cp1"].service("provision-csr-approver.timer")
    assert timer.is_enabled
    assert timer.is_running


def test_the_settings_are_published_for_those_who_join(machines: Machines) -> None:
    published = machines.kubectl("cp1", "get configmap kubeadm-config --namespace kube-system")
    assert "controlPlaneEndpoint: api.cluster.local:8443" in published["data"]["ClusterConfiguration"]


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "control_plane_key_algorithm" in refused(control_plane_key_algorithm="ROT13")
    assert "control_plane_audit_log_days" in refused(control_plane_audit_log_days="a month")
