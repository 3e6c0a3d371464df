"""Everything runs the new version, and nothing is left of the way there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import sandbox, state
from tests.e2e.conftest import bundle_of
from tests.e2e.site import Call, eventually, provision
from tests.e2e.test_upgrade import TARGET
from tests.machines import Machines

DRAIN = "Drain | Take the Pods off the node"


@pytest.fixture(scope="module")
def site(machines: Machines) -> Path:
    """The site, whose machines are served the new bundle; those that are no sandbox have theirs."""
    path = machines.site.path
    if sandbox.overlay_for(path):
        done = provision("sandbox", "up", "--bundle", bundle_of(TARGET), "-i", path)
        assert done.code == 0, done.text
    return path


@pytest.fixture
def unreached(machines: Machines) -> Iterator[str]:
    """A worker that goes on with its work and lets nobody log in, for a minute."""

    def closed() -> None:
        with socket.socket() as door:
            assert door.connect_ex((machines.address("w2"), 22)) != 0

    for seconds, command in ((60, "systemctl start ssh"), (1, "systemctl stop ssh; pkill sshd")):
        machines.run("w2", f"systemd-run --on-active={seconds} --timer-property=AccuracySec=100ms sh -c '{command}'")
    eventually(closed, seconds=10, every=0.1)
    yield "w2"
    eventually(lambda: machines.run("w2", "true"), seconds=90)


def test_a_machine_that_nobody_reaches_ends_it_before_anything_is_changed(site: Path, unreached: str) -> None:
    ended = provision("upgrade", "--to", TARGET, "--yes", "-i", site)
    assert ended.code == 5, ended.text
    assert unreached in ended.failures
    assert ended.changes == []


@pytest.fixture(scope="module")
def upgraded(site: Path) -> Call:
    """How the upgrade ended."""
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


def begins(machines: Machines, call: Call) -> dict[str, dict[str, float]]:
    """When each task began on each host, in seconds."""
    records = state.History.of(machines.site.path).records()
    run = next(each.as_dict() for each in records if each.number == call.document["run"])["result"]["timeline"]
    tasks = [task["task"] for task in run["tasks"]]
    return {name: {tasks[place]: start for place, start, *_ in bars} for name, bars in run["hosts"].items()}


def test_the_workers_of_a_batch_go_together(machines: Machines, upgraded: Call) -> None:
    began = begins(machines, upgraded)
    assert began["w2"][DRAIN] < began["w1"]["Back | Let pods come again"]


def test_images_are_there_before_the_first_machine_is_drained(machines: Machines, upgraded: Call) -> None:
    began = begins(machines, upgraded)
    pulled = [began[name]["Fetch | Pull the images that this node's system pods need"] for name in ("cp1", "w1", "w2")]
    assert max(pulled) < min(tasks[DRAIN] for tasks in began.values() if DRAIN in tasks)


def test_an_etcd_that_stays_as_it_is_keeps_its_leader(machines: Machines, upgraded: Call) -> None:
    assert "Upgrade | Let another member lead" not in begins(machines, upgraded)["cp1"]


@pytest.mark.usefixtures("upgraded")
def test_a_worker_reaches_the_api_by_its_own_balancer(machines: Machines) -> None:
    for name in ("w1", "w2"):
        assert machines[name].service("haproxy").is_running
        server = "grep --only-matching 'server: .*' /etc/kubernetes/kubelet.conf"
        endpoint = machines.run(name, server).split()[-1].removeprefix("https://").partition(":")[0]
        assert machines.run(name, f"getent ahostsv4 {endpoint}").split()[0] == "127.0.0.1", name


@pytest.mark.usefixtures("upgraded")
def test_a_second_upgrade_changes_nothing_but_makes_its_backup(machines: Machines) -> None:
    again = provision("upgrade", "--to", TARGET, "--yes", "-i", machines.site.path)
    assert again.code == 0, again.text
    assert {change["role"] for change in again.changes} <= {"backup", ""}
