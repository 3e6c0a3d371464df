"""A running cluster is brought to the next patch, and in the full tests to the next minor version.

Clients and a workload go on meanwhile, and Ctrl-C in the middle costs nothing.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from provision.catalog import load
from provision.drills.probe import Answer, Prober, Series, reasons
from tests.e2e.conftest import PREVIOUS, QUICK_START, bundle_of, running
from tests.e2e.site import ROOT, Call, Site, eventually, image, new_site

TARGET = load().default_version
NODE_PORT = 30080
WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop, namespace: default}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: shop}}}}
  template:
    metadata: {{labels: {{app: shop}}}}
    spec:
      # Away from each other, and on control planes as well: so one of them always has a place.
      tolerations: [{{operator: Exists, effect: NoSchedule, key: node-role.kubernetes.io/control-plane}}]
      topologySpreadConstraints:
        - {{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
            labelSelector: {{matchLabels: {{app: shop}}}}}}
      containers:
        - name: web
          image: "{image}"
          # It answers for some seconds after its address began to leave the Service.
          args: [netexec, --http-port=8080, --delay-shutdown=5]
          readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: shop, namespace: default}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: shop}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop, namespace: default}}
spec:
  type: NodePort
  selector: {{app: shop}}
  ports: [{{port: 80, targetPort: 8080, nodePort: {port}}}]
"""


@dataclass(frozen=True)
class Upgraded:
    """The cluster after its upgrade, and what was seen meanwhile."""

    site: Site
    interrupted: int
    resumed: Call
    api: list[Answer]
    shop: list[Answer]

    def versions(self) -> dict[str, set[str]]:
        """What runs now, by kind."""
        status = self.site.provision("status").document
        return {
            "nodes": {node["version"].lstrip("v") for node in status["nodes"]},
            **{part: {status["versions"][part]} for part in ("kubernetes", "kubelet")},
        }


def answers(address: str) -> bool:
    """Whether the workload answers at a node's port."""
    connection = http.client.HTTPConnection(address, NODE_PORT, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def serve(site: Site, version: str) -> None:
    """Run the workload and wait until it answers."""
    program = image("agnhost", version)
    # The bundle that nodes are served afterwards may have another one.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: site.run(name, f"crictl pull {program}"), site.names))
    document = WORKLOAD.format(image=program, port=NODE_PORT)
    site.kubectl("apply -f -", document=document)
    site.kubectl("rollout status deployment/shop --timeout=120s")


def interrupt(site: Site) -> int:
    """Begin the upgrade, press Ctrl-C when the first control plane is new, and return the exit code."""
    command = [sys.executable, "-m", "provision", "upgrade", "--to", TARGET, "--yes", "-i", str(site.file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        eventually(lambda: _first_is_new(site, running), seconds=400, every=1)
        running.send_signal(signal.SIGINT)
        return running.wait(60)
    finally:
        if running.poll() is None:
            running.kill()


def _first_is_new(site: Site, running: subprocess.Popen[bytes]) -> None:
    if running.poll() is not None:
        pytest.fail(f"the upgrade ended by itself with {running.returncode}")
    pods = json.loads(site.kubectl("get pods -n kube-system -l component=kube-apiserver -o json"))["items"]
    assert any(pod["spec"]["containers"][0]["image"].endswith(TARGET) for pod in pods)


def upgrade(site: Site, version: str) -> Upgraded:
    """Upgrade a cluster that runs a workload, in two halves."""
    serve(site, version)
    site.up("--bundle", str(bundle_of(TARGET)))
    worker = site.address(next(name for name in site.names if name not in site.control_planes))
    with Prober(f"{site.network}.10", 8443) as api, Series(lambda: answers(worker)) as shop:
        eventually(lambda: _steady(api, shop), seconds=30)
        code = interrupt(site)
        resumed = site.provision("upgrade", "--resume", "--yes")
    site.settle({})
    return Upgraded(site, code, resumed, api.answers, shop.answers)


def _steady(*series: Series) -> None:
    assert all(each.steady(1) for each in series)


def failed(found: list[Answer]) -> int:
    """How many requests got no good answer, of those that were asked after the first good one."""
    begun = min(answer.at for answer in found if answer.ok)
    return sum(not answer.ok for answer in found if answer.at > begun)


def late(answer: Answer) -> bool:
    """Whether nobody refused the request: it was only not answered within its second."""
    return answer.why.startswith("TimeoutError")


@pytest.fixture(scope="module", params=["patch", pytest.param("minor", marks=pytest.mark.full)])
def upgraded(request: pytest.FixtureRequest, bundle: None) -> Iterator[Upgraded]:
    """The cluster of the quick start, upgraded from the patch before; in the full tests one from the minor before."""
    if request.param == "patch":
        cluster: Site = request.getfixturevalue("cluster")
        yield upgrade(cluster, PREVIOUS["patch"])
        # Later tests look at who is disturbed by what they do.
        cluster.kubectl("delete deployment,service,pdb shop --now")
        return
    bundle_of(PREVIOUS["minor"])
    for site in running(new_site("upgrade", QUICK_START, {"cluster_version": PREVIOUS["minor"]})):
        made = site.provision("cluster", "--yes")
        assert made.code == 0, made.text
        yield upgrade(site, PREVIOUS["minor"])


def test_it_was_interrupted_and_went_on(upgraded: Upgraded) -> None:
    assert upgraded.interrupted == 130
    assert upgraded.resumed.code == 0, upgraded.resumed.text


def test_everything_runs_the_new_version(upgraded: Upgraded) -> None:
    assert upgraded.versions() == {part: {TARGET} for part in ("nodes", "kubernetes", "kubelet")}
    proxy = upgraded.site.kubectl("get daemonset kube-proxy -n kube-system -o jsonpath={..image}")
    assert proxy.endswith(f"v{TARGET}")


# How these two end depends on what else the two cores do, which carry four nodes and their images.
@pytest.mark.full
def test_hardly_a_client_of_the_api_was_turned_away(upgraded: Upgraded) -> None:
    assert failed([answer for answer in upgraded.api if not late(answer)]) <= 1, reasons(upgraded.api)


@pytest.mark.full
def test_clients_of_the_api_missed_at_most_one_request(
    upgraded: Upgraded, request: pytest.FixtureRequest, record_property: pytest.RecordProperty
) -> None:
    record_property("failed_requests", failed(upgraded.api))
    if "minor" in request.node.callspec.id:
        pytest.skip("a kubelet of another minor starts every static pod anew: requests may be answered late")
    assert failed(upgraded.api) <= 1, reasons(upgraded.api)


def test_the_workload_went_on(upgraded: Upgraded) -> None:
    assert failed(upgraded.shop) <= 1, reasons(upgraded.shop)


def test_no_node_is_left_behind(upgraded: Upgraded) -> None:
    nodes = json.loads(upgraded.site.kubectl("get nodes -o json"))["items"]
    assert not [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")]
    assert not [node for node in nodes if "provision/cordoned" in node["metadata"].get("annotations", {})]


def test_a_second_upgrade_changes_nothing_but_makes_its_backup(upgraded: Upgraded) -> None:
    again = upgraded.site.provision("upgrade", "--to", TARGET, "--yes")
    assert again.code == 0, again.text
    assert {change["role"] for change in again.changes} <= {"backup", ""}


def test_the_way_back_is_refused(upgraded: Upgraded) -> None:
    site = upgraded.site
    site.up("--bundle", str(bundle_of(PREVIOUS["patch"])))
    before = time.time()
    refused = site.provision("upgrade", "--to", PREVIOUS["patch"], "--yes")
    site.up("--bundle", str(bundle_of(TARGET)))
    assert refused.code == 4, refused.text
    assert "never downgraded" in refused.failures
    assert site.run(site.control_planes[0], f"find /etc/kubernetes /usr/local/bin -newermt @{before}") == ""


# Without this one, the plan of a changed setting shows it a little later.
@pytest.mark.full
def test_the_site_says_what_runs_from_then_on(upgraded: Upgraded) -> None:
    plan = upgraded.site.provision("cluster", "--plan", "--exit-code")
    assert plan.code == 0, plan.text
