"""Who does what, and which machines are refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.machines import Machines


def facts(name: str) -> dict[str, Any]:
    """The facts that the role gave to a machine."""
    return json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / f"{name}.json").read_text())


def preflight(machines: Machines) -> tuple[int, str]:
    """How `provision preflight` ends, and what it says."""
    command = [sys.executable, "-m", "provision", "preflight", "-i", str(machines.site.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_everyone_is_told_the_same_of_the_cluster(machines: Machines) -> None:
    address = machines.address("cp1")
    for name in machines.group("tested"):
        told = facts(name)
        assert told["cluster_control_planes"] == [{"host": "cp1", "name": "cp1", "address": address}]
        assert told["cluster_etcd_members"] == told["cluster_load_balancers"] == told["cluster_control_planes"]
        assert told["cluster_nodes"] == ["cp1", "w2"]
        assert (told["cluster_leader"], told["cluster_etcd_leader"]) == ("cp1", "cp1")
        assert told["cluster_exists"] is False


def test_a_host_is_told_what_it_is(machines: Machines) -> None:
    told = facts("W2")
    assert (told["cluster_node_name"], told["cluster_address"]) == ("w2", machines.address("W2"))
    assert told["cluster_balancer"] == "none"
    assert facts("cp1")["cluster_balancer"] == "vip"
    assert told["cluster_host"]["hostname"] == machines["W2"].check_output("hostname")
    assert told["cluster_host"]["kernel"] == machines["W2"].check_output("uname -r")


def test_the_api_is_reached_by_the_vip() -> None:
    told = facts("W2")
    assert told["cluster_api_mode"] == "vip"
    assert told["cluster_api_endpoint"] == "api.cluster.local:8443"
    assert told["cluster_host"]["vip"]["prefix"] == 24


def test_what_is_installed_has_a_digest() -> None:
    artifacts = facts("cp1")["cluster_artifacts"]
    assert {"containerd", "etcd", "kubeadm", "kubelet"} <= set(artifacts)
    assert all(len(one["sha256"]) == 64 for name, one in artifacts.items() if name in ("containerd", "etcd", "kubelet"))


def test_fit_machines_pass(machines: Machines) -> None:
    code, said = preflight(machines)
    assert code == 0, said


def test_a_port_in_use_is_refused(machines: Machines) -> None:
    stranger = "systemd-run --unit stranger --quiet python3 -m http.server 10250"
    machines.run("W2", f"{stranger} && until ss -Hltn sport = 10250 | grep -q .; do sleep 0.1; done")
    try:
        code, said = preflight(machines)
        assert code == 4
        assert "10250" in said
        assert "W2" in said
    finally:
        machines.run("W2", "systemctl stop stranger")


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "cluster_vip" in refused(cluster_vip="10.80.11.300")
    assert "cluster_network_provider" in refused(cluster_network_provider="cable")
