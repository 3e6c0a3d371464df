"""CoreDNS answers, for the cluster's names and for those of the site."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.site import eventually
from tests.machines import Machines

ADDRESS = "10.96.0.10"
# The resolver of the node itself, asked for one name at one server: nothing else is installed there.
ASK = """python3 - <<'END'
import socket, struct
question = b"".join(bytes([len(part)]) + part for part in b"{name}".split(b".")) + b"\\0" + struct.pack(">HH", 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.settimeout(3)
    server.sendto(struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + question, ("{server}", 53))
    answer = server.recv(512)
print(socket.inet_ntoa(answer[-4:]) if struct.unpack(">H", answer[6:8])[0] else "none")
END
"""


def asked(machines: Machines, name: str) -> str:
    """The address that CoreDNS knows for a name, or `none`."""
    return machines.run("cp1", ASK.format(name=name, server=ADDRESS)).strip()


@pytest.fixture(autouse=True)
def _ready(machines: Machines) -> None:
    def available() -> None:
        deployment = machines.kubectl("cp1", "get deployment coredns --namespace kube-system")
        assert deployment["status"].get("availableReplicas", 0) >= 1

    eventually(available, seconds=120)


def test_names_of_services_are_known(machines: Machines) -> None:
    assert asked(machines, "kubernetes.default.svc.cluster.local") == "10.96.0.1"


def test_names_of_the_site_are_known(machines: Machines) -> None:
    assert asked(machines, "nas.example") == "10.80.21.99"


def test_unknown_names_are_not_made_up(machines: Machines) -> None:
    assert asked(machines, "nothing.default.svc.cluster.local") == "none"


def test_it_has_the_tenth_address(machines: Machines) -> None:
    assert machines.kubectl("cp1", "get service kube-dns --namespace kube-system")["spec"]["clusterIP"] == ADDRESS


def test_it_may_do_little(machines: Machines) -> None:
    deployment = machines.kubectl("cp1", "get deployment coredns --namespace kube-system")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"]["memory"] == "170Mi"


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "dns_replicas" in refused(dns_replicas="some")
    assert "dns_upstreams" in refused(dns_upstreams={"first": "10.0.0.1"})
