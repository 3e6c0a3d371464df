"""The cluster is as it was when its backup was made: what was there is back, what came later is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision import backups
from tests.e2e.site import Call, eventually, provision
from tests.machines import Machines

CA = "/etc/kubernetes/pki/ca.crt"
KUBECTL = "kubectl --cache-dir /tmp/kubectl --kubeconfig /etc/kubernetes/admin.conf"


@pytest.fixture(scope="module")
def backup(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup with an object that is deleted afterwards, when another one is made."""
    name, place = str(machines.site.setting("cluster_name")), tmp_path_factory.mktemp("backups")
    machines.run("cp1", f"{KUBECTL} create configmap before --from-literal=word=kept")
    made = provision("backup", "--yes", "--to", place, "-i", machines.site.path)
    assert made.code == 0, made.text
    machines.run("cp1", f"{KUBECTL} delete configmap before")
    machines.run("cp1", f"{KUBECTL} create configmap after")
    return next(backups.known(name, place))


@pytest.fixture(scope="module")
def restored(machines: Machines, backup: Path) -> Call:
    """How the restore ended."""
    name = str(machines.site.setting("cluster_name"))
    return provision("restore", backup, "--yes", name, "-i", machines.site.path)


def test_machines_of_another_cluster_are_refused(machines: Machines, backup: Path) -> None:
    other = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=kubernetes -keyout /dev/null"
    machines.run("w1", f"cp {CA} /root/ca.crt; {other} -out {CA}")
    refused = provision("restore", backup, "--plan", "-i", machines.site.path)
    machines.run("w1", f"mv /root/ca.crt {CA}")
    assert refused.code != 0
    assert "w1 belongs to another cluster" in refused.failures


def test_what_was_there_is_back_and_what_came_later_is_gone(machines: Machines, restored: Call) -> None:
    assert restored.code == 0, restored.text
    found = machines.kubectl("cp1", "get configmaps --namespace default")["items"]
    words = {item["metadata"]["name"]: item.get("data") for item in found}
    assert words["before"] == {"word": "kept"}
    assert "after" not in words


@pytest.mark.usefixtures("restored")
def test_every_machine_is_a_ready_node(machines: Machines) -> None:
    def ready() -> None:
        assert machines.ready_nodes("cp1") == {"cp1", "w1"}

    eventually(ready, seconds=60)


@pytest.mark.usefixtures("restored")
def test_the_plan_is_empty(machines: Machines) -> None:
    plan = provision("cluster", "--plan", "--exit-code", "-i", machines.site.path)
    assert plan.code == 0, plan.text
    assert plan.changes == []
