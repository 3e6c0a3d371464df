"""containerd runs a pod whose images come from the mirror."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from provision import catalog, material
from tests.machines import Machines

POD = {
    "metadata": {"name": "molecule", "namespace": "default", "uid": "molecule", "attempt": 1},
    "log_directory": "/run/molecule",
    # The host's own network: there are no others yet.
    "linux": {"cgroup_parent": "system.slice", "security_context": {"namespace_options": {"network": 2}}},
}


@pytest.fixture
def name(machines: Machines) -> str:
    return next(iter(machines.group("tested")))


@pytest.fixture
def image() -> str:
    known = catalog.load()
    return str(material.images(known, known.default_version, None)["agnhost"]["ref"])


@pytest.fixture
def pod(machines: Machines, name: str, image: str) -> Iterator[str]:
    """A container that runs in a pod; its number."""
    container = {
        "metadata": {"name": "serve"},
        "image": {"image": image},
        "args": ["netexec", "--http-port=18080"],
        "log_path": "serve.log",
        "linux": {},
    }
    for file, content in (("pod", POD), ("container", container)):
        machines.run(
            name, f"mkdir -p /run/molecule && cat >/run/molecule/{file}.json <<'END'\n{json.dumps(content)}\nEND"
        )
    machines.run(name, f"crictl pull {image}")
    sandbox = machines.run(name, "crictl runp /run/molecule/pod.json").strip()
    try:
        made = machines.run(
            name, f"crictl create {sandbox} /run/molecule/container.json /run/molecule/pod.json"
        ).strip()
        machines.run(name, f"crictl start {made}")
        yield made
    finally:
        machines.run(name, "crictl rmp --all --force && crictl rmi --all && rm -r /run/molecule")


def test_it_runs_now_and_after_a_reboot(machines: Machines, name: str) -> None:
    assert machines[name].service("containerd").is_running
    assert machines[name].service("containerd").is_enabled


def test_it_speaks_as_the_kubelet_expects(machines: Machines, name: str) -> None:
    info = json.loads(machines.run(name, "crictl info"))
    conditions = {one["type"]: one["status"] for one in info["status"]["conditions"]}
    assert conditions["RuntimeReady"] is True
    runtime = info["config"]["containerd"]["runtimes"]["runc"]
    assert runtime["options"]["SystemdCgroup"] is True


def test_a_pod_runs_from_an_image_of_the_mirror(machines: Machines, name: str, pod: str) -> None:
    state = json.loads(machines.run(name, f"crictl inspect {pod}"))["status"]["state"]
    assert state == "CONTAINER_RUNNING"
    until = "for _ in $(seq 50); do curl --fail --silent 127.0.0.1:18080/hostname && exit; sleep 0.1; done; exit 1"
    assert machines.run(name, until).strip() == machines[name].check_output("hostname")


def test_pods_survive_a_restart_of_containerd(machines: Machines, name: str, pod: str) -> None:
    before = json.loads(machines.run(name, f"crictl inspect {pod}"))["info"]["pid"]
    machines.run(name, "systemctl restart containerd")
    assert json.loads(machines.run(name, f"crictl inspect {pod}"))["info"]["pid"] == before


def test_every_registry_of_the_catalog_is_mirrored(machines: Machines, name: str) -> None:
    for registry in ("docker.io", "quay.io", "registry.k8s.io"):
        hosts = machines[name].file(f"/etc/containerd/certs.d/{registry}/hosts.toml").content_string
        assert 'capabilities = ["pull", "resolve"]' in hosts, registry
        assert registry not in hosts.split("server")[1], registry


@pytest.mark.parametrize("program", ["/usr/local/bin/containerd", "/usr/local/sbin/runc", "/opt/cni/bin/bridge"])
def test_programs_are_roots_and_runnable(machines: Machines, name: str, program: str) -> None:
    file = machines[name].file(program)
    assert (file.user, file.mode) == ("root", 0o755)


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "containerd_max_concurrent_downloads" in refused(containerd_max_concurrent_downloads="many")
    assert "containerd_runtimes" in refused(containerd_runtimes="crun")
