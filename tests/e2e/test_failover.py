"""The node that holds the VIP dies: the cluster goes on with the other two, and takes it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from provision.drills.probe import Prober
from tests.e2e.site import Site, eventually

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: e2e-scheduled, namespace: default}}
spec:
  containers:
    - {{name: pause, image: "{image}"}}
"""


@dataclass(frozen=True)
class Wounded:
    """The cluster without the node that held the VIP."""

    site: Site
    dead: str
    left: tuple[str, ...]
    gap: float

    def kubectl(self, arguments: str, document: str = "") -> str:
        """kubectl through the VIP, from a control plane that is left."""
        vip = f"https://{self.site.network}.10:8443"
        return self.site.kubectl(
            f"--server {vip} --tls-server-name kubernetes {arguments}", on=self.left[0], document=document
        )


def _healthy(site: Site) -> None:
    status = site.provision("status")
    assert status.code == 0, status.text


@pytest.fixture(scope="module")
def wounded(cluster: Site) -> Iterator[Wounded]:
    # API servers that an earlier test changed may still be on their way back.
    eventually(lambda: _healthy(cluster), seconds=120, every=2)
    dead = cluster.provision("status").document["vip"]["holder"]
    left = tuple(name for name in cluster.control_planes if name != dead)
    with Prober(f"{cluster.network}.10", 8443) as prober:
        eventually(lambda: _assert_answered(prober, 10), seconds=5, every=0.05)
        cluster.kill(dead)
        eventually(lambda: _assert_back(prober), seconds=30, every=0.05)
        gap = prober.gap
    yield Wounded(cluster, dead, left, gap)
    cluster.up()


def _assert_answered(prober: Prober, count: int) -> None:
    assert sum(answer.ok for answer in prober.answers) >= count


def _assert_back(prober: Prober) -> None:
    """The API was away, and has answered twenty requests since."""
    answers = sorted(prober.answers, key=lambda answer: answer.at)
    assert not all(answer.ok for answer in answers)
    assert all(answer.ok for answer in answers[-20:])


def test_the_api_is_back_within_seconds(wounded: Wounded, record_property: pytest.RecordProperty) -> None:
    record_property("api_gap_seconds", round(wounded.gap, 2))
    assert 0 < wounded.gap < 10


def test_another_node_holds_the_vip(wounded: Wounded) -> None:
    vip = f" {wounded.site.network}.10/"
    assert [vip in wounded.site.run(name, "ip -oneline address") for name in wounded.left].count(True) == 1


def test_read_write_and_schedule_through_the_vip(wounded: Wounded) -> None:
    image = wounded.kubectl("get node -o json")
    pause = next(
        name
        for node in json.loads(image)["items"]
        for entry in node["status"]["images"]
        for name in entry["names"]
        if "/pause:" in name
    )
    wounded.kubectl("apply -f -", POD.format(image=pause))
    wounded.kubectl("wait --for=condition=Ready pod/e2e-scheduled --timeout=60s")
    assert wounded.kubectl("get pod e2e-scheduled -o jsonpath='{.spec.nodeName}'") == "w1"
    wounded.kubectl("delete pod e2e-scheduled --now")


def test_status_says_who_is_missing(wounded: Wounded) -> None:
    status = wounded.site.provision("status")
    assert status.code == 7, status.text
    assert wounded.dead in json.dumps(status.document["problems"])
    assert status.document["vip"]["holder"] in wounded.left


def test_a_run_names_dead_hosts_within_seconds_and_touches_nothing(
    wounded: Wounded, record_property: pytest.RecordProperty
) -> None:
    wounded.site.kill("w1")

    run = wounded.site.provision("cluster", "--yes")

    record_property("dead_hosts_named_seconds", round(run.seconds, 1))
    assert run.code == 5, run.text
    assert run.seconds < 15
    assert run.changes == []
    error = run.document["error"]
    assert all(name in error["message"] for name in (wounded.dead, "w1"))
    assert f"--without {','.join(sorted((wounded.dead, 'w1')))}" in error["hint"]


def test_without_them_the_run_goes_on_and_the_rest_is_verified(wounded: Wounded) -> None:
    run = wounded.site.provision("cluster", "--yes", "--without", f"{wounded.dead},w1")

    assert run.code == 0, run.text
    assert run.changes == []
    assert {host for host, tally in run.document["hosts"].items() if tally["evaluated"]} == set(wounded.left)
    assert any(phase["name"] == "Verify the cluster" for phase in run.document["phases"])


def test_without_a_majority_it_refuses(wounded: Wounded) -> None:
    run = wounded.site.provision("cluster", "--yes", "--without", f"{wounded.dead},{wounded.left[0]}")

    assert run.code == 4, run.text
    assert "etcd would have 1 of 3 members" in run.document["error"]["message"]
    assert run.document.get("hosts") is None  # no machine was asked


def test_it_comes_back_and_nothing_has_to_be_repaired(wounded: Wounded) -> None:
    """Nor did the nodes that came and went, a backup or a drill leave anything that the site does not describe."""
    wounded.site.up()

    def healthy() -> None:
        status = wounded.site.provision("status")
        assert status.code == 0, status.text

    eventually(healthy, seconds=180, every=5)
    again = wounded.site.provision("cluster", "--yes")
    assert again.code == 0, again.text
    assert again.changes == []
