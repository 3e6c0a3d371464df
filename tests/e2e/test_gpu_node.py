"""A GPU node serves devices: pods that ask for one come to it and find it, through a real device plugin and CDI.

The plugin is Kubernetes' own sample. A real GPU's, and its driver, cannot run on a sandbox node.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provision import paths
from provision.bundle import golang
from provision.catalog import load
from tests.e2e.conftest import Grown
from tests.e2e.site import Site, eventually, image

PROGRAM = "sample-device-plugin"
RESOURCE = "example.com/resource"
PLUGIN = """
apiVersion: v1
kind: Pod
metadata: {{name: {program}, namespace: default}}
spec:
  nodeSelector: {{node-role.kubernetes.io/gpu: ""}}
  tolerations: [{{operator: Exists}}]
  containers:
    - name: plugin
      image: {image}
      command: [/opt/{program}]
      env: [{{name: CDI_ENABLED, value: "1"}}]
      securityContext: {{privileged: true}}
      volumeMounts:
        - {{name: program, mountPath: /opt/{program}}}
        - {{name: sockets, mountPath: /var/lib/kubelet/device-plugins}}
        - {{name: cdi, mountPath: /var/run/cdi}}
        - {{name: devices, mountPath: /tmp}}
  volumes:
    - {{name: program, hostPath: {{path: /opt/{program}, type: File}}}}
    - {{name: sockets, hostPath: {{path: /var/lib/kubelet/device-plugins, type: Directory}}}}
    - {{name: cdi, hostPath: {{path: /var/run/cdi, type: DirectoryOrCreate}}}}
    - {{name: devices, hostPath: {{path: /tmp, type: Directory}}}}
"""
USER = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default}}
spec:
  tolerations: [{{operator: Exists, effect: NoSchedule}}]
  containers: [{{name: main, image: {image}, resources: {{limits: {{{resource}: {count}}}}}}}]
"""


def _program() -> Path:
    """The sample, built for this machine from the module that the bundle's kubelet comes from."""
    catalog = load()
    recipe = catalog.recipe("kubernetes", catalog.default_version)
    sample = replace(recipe, name="sample_device_plugin", packages=(f"k8s.io/kubernetes/test/images/{PROGRAM}",))
    go = golang.Go(catalog.go_minimum, catalog.go_wheel, paths.cache_home())
    built, _ = golang.build(sample, "amd64", go, paths.cache_home() / "build")
    return built.path(PROGRAM)


def _user(site: Site, name: str, count: int) -> None:
    site.kubectl(
        "apply -f -", document=USER.format(name=name, image=image("agnhost"), resource=RESOURCE, count=count), on="cp2"
    )


def _pod(site: Site, name: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(site.kubectl(f"get pod {name} -o json", on="cp2"))
    return found


@pytest.fixture(scope="module")
def served(grown: Grown) -> Iterator[Site]:
    """The cluster while the plugin runs on its GPU node, with a pod that got one of its two devices."""
    site = grown.site
    site.copy("gpu1", _program(), "/opt")

    def offered() -> None:
        path = f"'{{.status.allocatable.{RESOURCE.replace('.', chr(92) + '.')}}}'"
        assert site.kubectl(f"get node gpu1 -o jsonpath={path}", on="cp2") == "2"

    try:
        site.kubectl("apply -f -", document=PLUGIN.format(program=PROGRAM, image=image("agnhost")), on="cp2")
        eventually(offered, seconds=120)
        _user(site, "one", 1)
        site.kubectl("wait --for=condition=Ready pod/one --timeout=120s", on="cp2")
        yield site
    finally:
        # A pod that nothing owns would hold up the removal of its node.
        site.kubectl(f"delete pod one two {PROGRAM} --ignore-not-found --grace-period=1", on="cp2")


def test_a_pod_that_asks_for_a_device_comes_to_its_node(served: Site) -> None:
    assert _pod(served, "one")["spec"]["nodeName"] == "gpu1"


def test_the_container_was_given_the_device_by_cdi(served: Site) -> None:
    identity = served.run("gpu1", "crictl ps --quiet --label io.kubernetes.pod.name=one").strip()
    inside = json.loads(served.run("gpu1", f"crictl inspect {identity}"))["info"]["runtimeSpec"]
    (device,) = [word for word in inside["process"]["env"] if word.startswith("CDI_DEVICE=")]
    assert f"/tmp/{device.partition('=')[2]}" in [entry["path"] for entry in inside["linux"]["devices"]]


def test_more_than_there_is_waits(served: Site) -> None:
    _user(served, "two", 2)

    def waits() -> None:
        conditions = json.dumps(_pod(served, "two")["status"].get("conditions", []))
        assert f"Insufficient {RESOURCE}" in conditions

    eventually(waits, seconds=60)
