"""From bare machines to a cluster, and a second time over it."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.conftest import Story
from tests.e2e.site import Site
from tests.e2e.snapshot import difference, snapshot

# What an upper bound is for (DESIGN, section 4): a task costs every host time.
EVALUATED = {"control plane": 120, "worker": 70}


def test_the_plan_for_bare_machines_says_for_each_host_what_it_will_do(story: Story) -> None:
    assert story.plan.code == 10, story.plan.text
    assert story.plan.document["mode"] == "plan"
    roles = {
        host: {change["role"] for change in story.plan.changes if change["host"] == host} for host in story.site.names
    }
    everywhere = {"host", "containerd", "kubernetes", "network"}
    for host in story.site.names:
        own = {"etcd", "load_balancer", "control_plane"} if host in story.site.control_planes else {"node"}
        assert roles[host] >= everywhere | own, host


def test_the_plan_changes_nothing(story: Story) -> None:
    assert difference(story.bare, story.planned) == []


def test_the_first_run_makes_a_verified_cluster(story: Story) -> None:
    assert story.run.document["error"] is None
    assert story.run.document["phases"][-1]["name"].startswith("Verify")
    assert story.run.changed_hosts == set(story.site.names)


def test_the_first_run_took_few_tasks(story: Story) -> None:
    for host, tally in story.run.document["hosts"].items():
        kind = "control plane" if host in story.site.control_planes else "worker"
        assert tally["evaluated"] <= EVALUATED[kind], host
    everything = list(story.run.document["hosts"].values())
    skipped, evaluated = (sum(tally[key] for tally in everything) for key in ("skipped", "evaluated"))
    assert skipped < 0.15 * evaluated


def test_every_machine_is_a_ready_node_of_the_right_version(cluster: Site) -> None:
    found = json.loads(cluster.kubectl("get nodes -o json"))["items"]
    ready = {
        node["metadata"]["name"]: (condition["status"], node["status"]["nodeInfo"]["kubeletVersion"])
        for node in found
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    }
    assert ready == dict.fromkeys(cluster.names, ("True", f"v{cluster.version}"))


@pytest.mark.parametrize("service", ["containerd", "kubelet", "etcd", "haproxy", "keepalived"])
def test_services_run_now_and_after_a_reboot(cluster: Site, service: str) -> None:
    everywhere = service in ("containerd", "kubelet")
    for name in cluster.names if everywhere else cluster.control_planes:
        unit = cluster.host(name).service(service)
        assert unit.is_running, name
        assert unit.is_enabled, name


def test_nothing_came_from_outside(cluster: Site) -> None:
    """The nodes have no way out: what they run can only come from the bundle."""
    image = cluster.run("w1", "crictl images --output json")
    assert "registry.k8s.io/kube-proxy" in image
    assert cluster.host("w1").run("timeout 3 bash -c 'exec 3<>/dev/tcp/192.0.2.1/443'").rc != 0


def test_the_second_run_changes_nothing(story: Story) -> None:
    before = snapshot(story.site)

    again = story.site.provision("cluster", "--yes")

    assert again.code == 0, again.text
    assert again.changes == []
    assert all(tally["changed"] == 0 for tally in again.document["hosts"].values())
    lasting = [
        line for line in difference(before, snapshot(story.site)) if re.search(r" (/etc|/usr|/opt)/| service ", line)
    ]
    assert lasting == []


def test_the_plan_of_a_finished_cluster_is_empty(cluster: Site) -> None:
    plan = cluster.provision("cluster", "--plan", "--exit-code")
    assert plan.code == 0, plan.text
    assert plan.changes == []


def test_runs_are_remembered(story: Story) -> None:
    shown = story.site.provision("runs", "list")
    assert shown.code == 0, shown.text
    number = story.run.document["run"]
    record = story.site.provision("runs", "show", str(number))
    assert record.code == 0, record.text
    assert set(record.document["result"]["hosts"]) == set(story.site.names)
