"""A worker joins, with its labels and taints."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.machines import Machines


@pytest.fixture
def node(machines: Machines) -> dict[str, object]:
    return dict(machines.kubectl("cp1", "get node w1"))


def test_the_kubelet_runs_now_and_after_a_reboot(machines: Machines) -> None:
    assert machines["w1"].service("kubelet").is_running
    assert machines["w1"].service("kubelet").is_enabled
    assert machines.run("w1", "curl --fail --silent http://127.0.0.1:10248/healthz") == "ok"


def test_it_is_a_node_with_its_own_address_and_version(machines: Machines, node: dict) -> None:
    addresses = {one["type"]: one["address"] for one in node["status"]["addresses"]}
    assert addresses["InternalIP"] == machines.address("w1")
    assert node["status"]["nodeInfo"]["kubeletVersion"] == f"v{machines.site.setting('cluster_version')}"


def test_labels_and_taints_are_the_sites(node: dict) -> None:
    assert node["metadata"]["labels"]["example.com/rack"] == "r1"
    own = [taint for taint in node["spec"]["taints"] if taint["key"] == "example.com/own"]
    assert own == [{"key": "example.com/own", "value": "x", "effect": "NoSchedule"}]


def test_it_runs_no_part_of_the_control_plane(machines: Machines) -> None:
    assert machines.run("w1", "ls /etc/kubernetes/manifests") == ""
    assert not machines["w1"].file("/etc/kubernetes/admin.conf").exists
    assert not machines["w1"].file("/etc/kubernetes/pki/ca.key").exists


def test_its_key_is_its_own(machines: Machines) -> None:
    key = machines["w1"].file("/var/lib/kubelet/pki/kubelet-client-current.pem")
    assert key.is_symlink
    assert machines["w1"].file(key.linked_to).mode == 0o600
    subject = machines.run("w1", f"openssl x509 -noout -subject -in {key.linked_to}")
    assert "system:node:w1" in subject


def test_nobody_asks_the_kubelet_without_a_name(machines: Machines) -> None:
    # It serves with a certificate of the cluster alone, which `ready` would let it have.
    server = f"https://{machines.address('cp1')}:6443"
    machines.run("cp1", f"/usr/local/libexec/provision-csr-approver /etc/kubernetes/admin.conf --server {server}")
    curl = "curl --silent --insecure --retry 30 --retry-delay 1 --retry-all-errors --output /dev/null"
    url = f"https://{machines.address('w1')}:10250/pods"
    assert machines.run("cp1", f"{curl} --write-out '%{{http_code}}' {url}").endswith("401")


def test_the_token_of_the_join_lives_a_quarter_of_an_hour_at_most(machines: Machines) -> None:
    tokens = machines.kubectl(
        "cp1", "get secrets --namespace kube-system --field-selector type=bootstrap.kubernetes.io/token"
    )
    for token in tokens["items"]:
        made, name = token["metadata"]["creationTimestamp"], token["metadata"]["name"]
        expiration = machines.kubectl("cp1", f"-n kube-system get secret {name}")["data"]["expiration"]
        seconds = machines.run(
            "cp1", f"echo $(( $(date -d $(echo {expiration} | base64 -d) +%s) - $(date -d {made} +%s) ))"
        )
        assert 0 < int(seconds) <= 900


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "node_join_timeout" in refused(node_join_timeout="soon")
    assert "node_label is not known" in refused(node_label={"a": "b"})
