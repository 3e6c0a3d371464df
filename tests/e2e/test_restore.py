"""A cluster whose control planes are all lost comes back from a backup, with its objects, secrets and workers."""

from __future__ import annotations

import pytest

from provision import sandbox
from provision.sandbox.engine import choose_engine
from tests.e2e.site import Call, Site, eventually, image

OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: kept}
---
apiVersion: v1
kind: Secret
metadata: {name: word, namespace: kept}
stringData: {word: xyzzy}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: kept}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: PAUSE}]}
"""


@pytest.fixture(scope="module")
def restored(cluster: Site) -> Call:
    """The cluster with objects of users, backed up, all its control planes replaced by bare machines, restored."""
    cluster.kubectl("apply -f -", document=OBJECTS.replace("PAUSE", image("pause")))
    cluster.kubectl("-n kept rollout status deployment/web --timeout=120s")
    assert cluster.provision("backup", "--yes").code == 0
    found = [sandbox.find_node(cluster.file, name) for name in cluster.control_planes]
    choose_engine(found[0][0].engine).remove_nodes([node.container for _, node in found])
    cluster.up()
    return cluster.provision("restore", "--yes", "sandbox")


def test_objects_and_secrets_are_there_again(cluster: Site, restored: Call) -> None:
    assert restored.code == 0, restored.text
    word = cluster.kubectl("-n kept get secret word -o jsonpath='{.data.word}' | base64 -d")
    assert word == "xyzzy"


def test_the_workload_runs(cluster: Site, restored: Call) -> None:
    def runs() -> None:
        assert cluster.kubectl("-n kept get deployment web -o jsonpath='{.status.availableReplicas}'") == "1"

    eventually(runs, seconds=120)


def test_the_second_run_changes_nothing(cluster: Site, restored: Call) -> None:
    run = cluster.provision("cluster", "--yes")

    assert (run.code, run.changes) == (0, [])


def test_a_living_cluster_is_given_up_for_its_name_alone(cluster: Site, restored: Call) -> None:
    unnamed = cluster.provision("restore")
    other = cluster.provision("restore", "--yes", "other")

    assert (unnamed.code, other.code) == (9, 9)
    assert cluster.kubectl("get namespace kept -o name").strip() == "namespace/kept"
