"""Everything runs the new version, and nothing is left of the way there."""

from __future__ import annotations

import pytest

from provision import sandbox, state
from tests.e2e.site import Call, provision
from tests.e2e.test_upgrade import TARGET, bundle_of
from tests.machines import Machines


@pytest.fixture(scope="module")
def upgraded(machines: Machines) -> Call:
    """How the upgrade ended. The machines are served the new bundle before; those that are no sandbox have theirs."""
    site = machines.site.path
    if sandbox.overlay_for(site):
        served = provision("sandbox", "up", "--bundle", bundle_of(TARGET), "-i", site)
        assert served.code == 0, served.text
    return provision("upgrade", "--to", TARGET, "--batch", "2", "--yes", "-i", site)


def test_kubelets_and_the_api_are_of_the_new_version(machines: Machines, upgraded: Call) -> None:
    assert upgraded.code == 0, upgraded.text
    nodes = machines.kubectl("cp1", "get nodes")["items"]
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in nodes} == {f"v{TARGET}"}
    assert machines.kubectl("cp1", "version")["serverVersion"]["gitVersion"] == f"v{TARGET}"


@pytest.mark.usefixtures("upgraded")
def test_so_is_the_rest(machines: Machines) -> None:
    pods = machines.kubectl("cp1", "get pods --namespace kube-system")["items"]
    images = [container["image"] for pod in pods for container in pod["spec"]["containers"]]
    ours = {image.rpartition("/")[2] for image in images if "/kube-" in image}
    assert ours == {f"kube-{part}:v{TARGET}" for part in ("apiserver", "controller-manager", "scheduler", "proxy")}


@pytest.mark.usefixtures("upgraded")
def test_every_machine_is_a_ready_node_and_takes_pods(machines: Machines) -> None:
    assert machines.ready_nodes("cp1") == {"cp1", "w1", "w2"}
    nodes = machines.kubectl("cp1", "get nodes")["items"]
    assert not [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")]


def test_the_workers_of_a_batch_go_together(machines: Machines, upgraded: Call) -> None:
    records = state.History.of(machines.site.path).records()
    run = next(each.as_dict() for each in records if each.number == upgraded.document["run"])["result"]["timeline"]
    tasks = [task["task"] for task in run["tasks"]]
    begins = {name: {tasks[place]: start for place, start, *_ in bars} for name, bars in run["hosts"].items()}
    assert begins["w2"]["Drain | Take the Pods off the node"] < begins["w1"]["Back | Let pods come again"]


@pytest.mark.usefixtures("upgraded")
def test_a_second_upgrade_changes_nothing_but_makes_its_backup(machines: Machines) -> None:
    again = provision("upgrade", "--to", TARGET, "--yes", "-i", machines.site.path)
    assert again.code == 0, again.text
    assert {change["role"] for change in again.changes} <= {"backup", ""}
