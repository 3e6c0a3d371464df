"""CoreDNS: its manifest as YAML, its Corefile read by CoreDNS itself where that is at hand."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render.rendering import ROLES, Role
from tests.unit.module_runner import load

cluster_checks = load("cluster_verify").cluster_checks

OPTIONS: list[dict[str, Any]] = [
    {},
    {"dns_upstreams": ["192.0.2.1", "tls://192.0.2.2"]},
    {"dns_zones": [{"zone": "corp.example", "upstreams": ["192.0.2.3"]}], "dns_hosts": {"nas.example": "192.0.2.9"}},
    {"dns_cache_seconds": 0, "dns_zones": [{"zone": "a.example", "upstreams": ["192.0.2.3", "192.0.2.4"]}]},
]


def dns(**options: Any) -> Role:
    inputs: dict[str, Any] = {
        "cluster_domain": "cluster.local",
        "cluster_service_cidr": "10.96.0.0/12",
        "cluster_nodes": ["m1", "m2", "m3", "w1"],
        "cluster_images": {"coredns": {"ref": "registry.k8s.io/coredns/coredns:v1.14.2", "digest": ""}},
    }
    return Role("dns", ansible_search_path=[str(ROLES / "dns")], **(inputs | options))


def manifest(**options: Any) -> dict[str, dict[str, Any]]:
    """The objects by kind."""
    documents = yaml.safe_load_all(dns(**options).render("coredns.yml.j2"))
    return {document["kind"]: document for document in documents if document}


@pytest.mark.parametrize("options", OPTIONS)
def test_the_manifest_holds_the_corefile_as_it_was_rendered(options: dict[str, Any]) -> None:
    objects = manifest(**options)

    assert objects["ConfigMap"]["data"]["Corefile"].strip() == dns(**options).render("Corefile.j2").strip()
    assert objects["Service"]["spec"]["clusterIP"] == "10.96.0.10"
    assert objects["Service"]["metadata"]["name"] == "kube-dns"


def test_a_change_of_the_corefile_rolls_the_pods() -> None:
    def annotation(**options: Any) -> str:
        return str(
            manifest(**options)["Deployment"]["spec"]["template"]["metadata"]["annotations"]["checksum/corefile"]
        )

    assert annotation() == annotation()
    assert annotation() != annotation(dns_cache_seconds=60)


@pytest.mark.parametrize(("nodes", "replicas", "wanted"), [(1, 2, 1), (4, 2, 2), (4, 3, 3)])
def test_every_pod_has_its_own_node(nodes: int, replicas: int, wanted: int) -> None:
    options = {"cluster_nodes": [f"n{i}" for i in range(nodes)], "dns_replicas": replicas}
    spec = manifest(**options)["Deployment"]["spec"]

    assert spec["replicas"] == wanted
    terms = spec["template"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert terms[0]["topologyKey"] == "kubernetes.io/hostname"


def test_only_the_nodes_own_resolver_gets_the_last_resort() -> None:
    def pod(**options: Any) -> dict[str, Any]:
        found: dict[str, Any] = manifest(**options)["Deployment"]["spec"]["template"]["spec"]
        return found

    assert pod()["dnsConfig"] == {"nameservers": ["127.0.0.1"]}
    assert "dnsConfig" not in pod(dns_upstreams=["192.0.2.1"])


def coredns() -> str:
    """The real CoreDNS: on the path, or as a bundle's build left it."""
    cache = Path(os.environ.get("PROVISION_CACHE_DIR") or Path.home() / ".cache" / "provision")
    built = sorted(cache.glob("build/coredns/*/coredns"))
    return shutil.which("coredns") or (str(built[-1]) if built else "")


needs_coredns = pytest.mark.skipif(not coredns(), reason="no coredns binary; `provision bundle create` builds one")


def runnable(corefile: str, port: int, folder: Path, resolv: str) -> Path:
    """The Corefile as a test can run it: other ports, no cluster, and a resolver file of its own."""
    lines, inside = [], False
    for line in corefile.replace(":53 {", f":{port} {{").splitlines():
        inside = inside or line.strip().startswith("kubernetes ")
        if not inside and not line.strip().startswith(("ready", "prometheus")):
            lines.append(line)
        inside = inside and line != "    }"
    (folder / "resolv.conf").write_text(resolv)
    text = (
        "\n".join(lines)
        .replace("/etc/resolv.conf", str(folder / "resolv.conf"))
        .replace("health {", "health 127.0.0.1:0 {")
    )
    file = folder / "Corefile"
    file.write_text(text)
    return file


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        return int(udp.getsockname()[1])


def answers_at_once(process: subprocess.Popen[str], port: int) -> bool:
    """True when it refuses a name that nobody knows at once; not when it asks itself in circles, which takes seconds.

    Before it listens, and on a busy machine also later, an answer may be late: one that is quick proves it.
    """
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        assert process.poll() is None, process.communicate()[0]
        start = time.monotonic()
        try:
            cluster_checks.resolve("127.0.0.1", "www.example.com", port=port)
        except ConnectionRefusedError:
            continue
        except cluster_checks.Unmet as unmet:
            if "does not know" in str(unmet) and time.monotonic() - start < 0.5:
                return True
    return False


@needs_coredns
@pytest.mark.parametrize(
    ("options", "resolv"), list(product(OPTIONS, ["nameserver 127.0.0.53\n", "nameserver 127.0.0.1\n"]))
)
def test_coredns_starts_and_stays(tmp_path: Path, options: dict[str, Any], resolv: str) -> None:
    """Also with a resolver that is CoreDNS itself, and a question that would go in circles is refused at once."""
    port = free_port()
    file = runnable(dns(**options).render("Corefile.j2"), port, tmp_path, resolv.replace("\n", f"\nport {port}\n"))
    with subprocess.Popen(
        [coredns(), "-conf", file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert answers_at_once(process, port)
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)
