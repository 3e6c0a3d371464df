"""What is secure without being asked for, seen on the living cluster."""

from __future__ import annotations

import json
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.e2e.site import Site

ETCDCTL = (
    "etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/etcd/pki/ca.crt"
    " --cert /etc/etcd/pki/healthcheck-client.crt --key /etc/etcd/pki/healthcheck-client.key"
)


def test_secrets_are_encrypted_in_etcd(cluster: Site) -> None:
    cluster.kubectl("create secret generic e2e-secret --from-literal=word=in-plain-sight")
    try:
        stored = cluster.run(cluster.control_planes[1], f"{ETCDCTL} get /registry/secrets/default/e2e-secret | cat -v")
        assert "k8s:enc:" in stored
        assert "in-plain-sight" not in stored
        read = cluster.kubectl("get secret e2e-secret -o jsonpath='{.data.word}' | base64 -d")
        assert read == "in-plain-sight"
    finally:
        cluster.kubectl("delete secret e2e-secret")


@pytest.mark.parametrize(("path", "port"), [("/api/v1/secrets", 6443), ("/metrics", 10250), ("/pods", 10250)])
def test_nobody_is_let_in_without_a_name(cluster: Site, path: str, port: int) -> None:
    for name in cluster.control_planes:
        url = f"https://{cluster.address(name)}:{port}{path}"
        code = cluster.run(name, f"curl --silent --insecure --output /dev/null --write-out '%{{http_code}}' {url}")
        assert code in ("401", "403"), url


def test_etcd_wants_a_certificate(cluster: Site) -> None:
    for name in cluster.control_planes:
        url = f"https://{cluster.address(name)}:2379/version"
        assert cluster.host(name).run(f"curl --silent --show-error --insecure {url}").rc != 0


SECRETS = (
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/pki/*.key",
    "/etc/etcd/pki/*.key",
)
SETTINGS = ("/etc/kubernetes/manifests/*.yaml", "/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml")


@pytest.mark.parametrize(("patterns", "others"), [(SECRETS, 0o077), (SETTINGS, 0o137)], ids=["secrets", "settings"])
def test_files_have_the_modes_of_the_cis_benchmark(cluster: Site, patterns: tuple[str, ...], others: int) -> None:
    for name in cluster.control_planes:
        for line in cluster.run(name, f"stat --format '%a %U %n' {' '.join(patterns)}").splitlines():
            mode, owner, path = line.split()
            assert int(mode, 8) & others == 0, line
            assert owner == "root" or path.startswith("/etc/etcd/"), line


def test_etcd_keeps_its_data_for_itself(cluster: Site) -> None:
    for name in cluster.control_planes:
        directory = cluster.host(name).file("/var/lib/etcd")
        assert (directory.mode, directory.user) == (0o700, "etcd")


def test_kubelets_serve_with_certificates_of_the_cluster(cluster: Site, tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text(cluster.run(cluster.control_planes[0], "cat /etc/kubernetes/pki/ca.crt"))
    for name in cluster.names:
        shown = tmp_path / f"{name}.crt"
        shown.write_text(ssl.get_server_certificate((cluster.address(name), 10250)))
        verified = subprocess.run(
            ["openssl", "verify", "-CAfile", authority, shown], capture_output=True, text=True, check=False
        )
        assert verified.returncode == 0, verified.stderr


def test_changes_are_noted_in_the_audit_log(cluster: Site) -> None:
    cluster.kubectl("create configmap e2e-audited")
    cluster.kubectl("delete configmap e2e-audited")
    logs = [cluster.run(name, "cat /var/log/kubernetes/audit/*.log") for name in cluster.control_planes]
    events = [json.loads(line) for log in logs for line in log.splitlines() if "e2e-audited" in line]
    assert {event["verb"] for event in events} >= {"create", "delete"}
    assert all("kubernetes-admin" in event["user"]["username"] for event in events)


def test_secrets_never_reach_the_audit_log_or_a_command_line(cluster: Site) -> None:
    cluster.kubectl("create secret generic e2e-unheard --from-literal=word=unheard-of")
    cluster.kubectl("delete secret e2e-unheard")
    for name in cluster.control_planes:
        assert cluster.host(name).run("grep -rl dW5oZWFyZC1vZg /var/log/kubernetes/audit").stdout == ""
        assert cluster.host(name).run("grep -la '[B]EGIN.*PRIVATE' /proc/[0-9]*/cmdline").stdout == ""


def test_tokens_and_join_files_are_gone(cluster: Site) -> None:
    assert "bootstrap-token" not in cluster.kubectl("get secrets -n kube-system -o name")
    for name in cluster.names:
        found = cluster.host(name).run(
            r"grep -rlwE '[a-z0-9]{6}\.[a-z0-9]{16}' /run/provision /tmp /root /etc/kubernetes"
        )
        assert found.stdout == ""
        assert not cluster.host(name).file("/etc/kubernetes/bootstrap-kubelet.conf").exists
