"""`provision certificates` on a living cluster."""

from __future__ import annotations

import pytest

from tests.e2e.site import Call, Site

EVERY_NODE = {"/var/lib/kubelet/pki/kubelet-client-current.pem", "/var/lib/kubelet/pki/kubelet-server-current.pem"}
CONTROL_PLANE = EVERY_NODE | {
    f"/etc/kubernetes/{name}"
    for name in (
        *("admin.conf", "controller-manager.conf", "scheduler.conf"),
        *("pki/apiserver.crt", "pki/apiserver-kubelet-client.crt", "pki/front-proxy-client.crt"),
        *("pki/apiserver-etcd-client.crt", "pki/ca.crt", "pki/front-proxy-ca.crt", "pki/etcd/ca.crt"),
    )
}
MEMBER = {f"/etc/etcd/pki/{name}.crt" for name in ("server", "peer", "healthcheck-client", "ca")}


@pytest.fixture(scope="module")
def report(cluster: Site) -> Call:
    return cluster.provision("certificates")


def test_every_certificate_of_every_node_has_its_days(report: Call, cluster: Site) -> None:
    assert report.code == 0, report.text
    found: dict[str, set[str]] = {}
    for row in report.document["certificates"]:
        found.setdefault(row["host"], set()).add(row["name"])
        assert row["days_left"] > (3600 if row["authority"] else 360)
    assert set(found) == set(cluster.names)
    for name in cluster.names:
        assert found[name] >= (CONTROL_PLANE | MEMBER if name in cluster.control_planes else EVERY_NODE)


def test_only_authorities_are_called_so(report: Call) -> None:
    authorities = {row["name"].rsplit("/", 1)[-1] for row in report.document["certificates"] if row["authority"]}
    assert authorities == {"ca.crt", "front-proxy-ca.crt"}


def test_one_that_ends_soon_is_due(cluster: Site) -> None:
    host, short = cluster.names[-1], "/etc/kubernetes/pki/short.crt"
    cluster.run(
        host, f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=short -days 9 -keyout /dev/null -out {short}"
    )
    try:
        due = cluster.provision("certificates")
    finally:
        cluster.run(host, f"rm {short}")

    assert due.code == 7, due.text
    (problem,) = due.document["problems"]
    assert f"{short} on {host} ends in 8 days" in problem["message"]
