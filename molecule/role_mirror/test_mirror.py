"""A machine that serves files, packages and images of the bundle."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.machines import Machines

DIRECTORY = "/srv/provision/bundle"


@pytest.fixture
def name(machines: Machines) -> str:
    return next(iter(machines.group("mirror")))


@pytest.mark.parametrize("kind", ["files", "images"])
def test_it_serves_now_and_after_a_reboot(machines: Machines, name: str, kind: str) -> None:
    service = machines[name].service(f"provision-mirror-{kind}")
    assert service.is_running
    assert service.is_enabled


def test_files_are_served_as_they_are(machines: Machines, name: str) -> None:
    manifest = json.loads(machines.run(name, "curl --fail --silent http://127.0.0.1:8080/manifest.json"))
    kubectl = manifest["artifacts"]["kubectl"]["amd64"]
    served = machines.run(name, f"curl --fail --silent http://127.0.0.1:8080/{kubectl['path']} | sha256sum")
    assert served.split()[0] == kubectl["sha256"]


def test_packages_are_served(machines: Machines, name: str) -> None:
    found = machines.run(name, "curl --fail --silent http://127.0.0.1:8080/apt/debian-13/Packages")
    assert "\nPackage: haproxy\n" in f"\n{found}"


def test_images_are_served(machines: Machines, name: str) -> None:
    answer = json.loads(machines.run(name, "curl --fail --silent http://127.0.0.1:5000/v2/_catalog"))
    assert "pause" in answer["repositories"]


def test_nobody_can_put_anything_there(machines: Machines, name: str) -> None:
    address = machines.address(name)
    for url in (f"http://{address}:8080/x", f"http://{address}:5000/v2/pause/blobs/uploads/"):
        done = machines[name].run(f"curl --fail --silent --output /dev/null --request POST {url}")
        assert done.rc == 22, url


@pytest.mark.parametrize("unit", ["nginx.service", "docker-registry.service"])
def test_the_packages_own_services_are_masked(machines: Machines, name: str, unit: str) -> None:
    assert machines[name].service(unit).is_masked
    assert not machines[name].socket("tcp://0.0.0.0:80").is_listening


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "mirror_http_port" in refused(mirror_http_port="web")
    assert "mirror_registry_prot is not known" in refused(mirror_registry_prot=5000)
