"""`provision certificates renew`: every certificate of the cluster is another one, and nobody noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pytest

from provision.drills.probe import Prober
from tests.e2e.site import Call, Site, eventually

# path and digest of each certificate, kubeconfig and authority
_DIGESTS = """
cd / && sha256sum etc/kubernetes/*.conf etc/kubernetes/pki/*.crt etc/kubernetes/pki/etcd/*.crt etc/etcd/pki/*.crt \
  var/lib/kubelet/pki/kubelet-*-current.pem 2>/dev/null || true
"""
_STARTS = "pgrep -o 'kube-apiserver|etcd'; ps -o lstart= -C kube-apiserver,etcd"
# Links and configurations without a certificate of their own, and what only an authority's owner may change.
_STAYS = ("ca.crt", "kubelet.conf")


def certificates(site: Site) -> Mapping[tuple[str, str], str]:
    """(host, path) -> digest."""
    found = {}
    for name in site.names:
        for line in site.run(name, _DIGESTS).splitlines():
            digest, path = line.split()
            found[name, path] = digest
    return found


@dataclass(frozen=True)
class Renewal:
    """What was seen while the certificates were renewed."""

    site: Site
    plan: Call
    run: Call
    before: Mapping[tuple[str, str], str]
    after: Mapping[tuple[str, str], str]
    started: tuple[Mapping[str, str], Mapping[str, str]]
    gap: float


@pytest.fixture(scope="module")
def renewal(cluster: Site) -> Renewal:
    def starts() -> Mapping[str, str]:
        return {name: cluster.run(name, _STARTS) for name in cluster.control_planes}

    before, started = certificates(cluster), starts()
    plan = cluster.provision("certificates", "renew", "--plan")
    assert certificates(cluster) == before
    with Prober(f"{cluster.network}.10", 8443) as prober:
        run = cluster.provision("certificates", "renew", "--yes")
    return Renewal(cluster, plan, run, before, certificates(cluster), (started, starts()), prober.gap)


def test_every_certificate_but_the_authorities_is_a_new_one(renewal: Renewal) -> None:
    assert renewal.run.code == 0, renewal.run.text
    same = {key for key in renewal.before if renewal.before[key] == renewal.after[key]}
    assert same == {key for key in renewal.before if key[1].endswith(_STAYS)}
    assert {host for host, _ in set(renewal.before) - same} == set(renewal.site.names)


def test_the_plan_named_it_before(renewal: Renewal) -> None:
    assert renewal.plan.code == 0, renewal.plan.text
    assert renewal.plan.changed_hosts == set(renewal.site.names)
    told = str(renewal.plan.changes)
    for name in ("apiserver.crt", "scheduler.conf", "kube-scheduler restarts", "kubelet-server-current.pem"):
        assert name in told


def test_the_api_went_on(renewal: Renewal, record_property: pytest.RecordProperty) -> None:
    record_property("api_gap_seconds", round(renewal.gap, 2))
    assert renewal.started[0] == renewal.started[1], "an API server or an etcd member was restarted"
    assert renewal.gap < 1


def test_the_new_ones_are_in_use(renewal: Renewal) -> None:
    site = renewal.site
    site.kubectl("get --raw /readyz")
    for name in site.names:
        # The API server reaches the kubelet: the one's client certificate and the other's serving certificate work.
        # A connection that was open when the kubelet took its new one ends with the first request.
        eventually(partial(site.kubectl, f"get --raw /api/v1/nodes/{name}/proxy/healthz"), seconds=20)

    def healthy() -> None:
        status = site.provision("status")
        assert status.code == 0, status.text

    eventually(healthy, seconds=60)


def test_what_does_not_end_soon_is_left(renewal: Renewal) -> None:
    again = renewal.site.provision("certificates", "renew", "--yes", "--within", "300")
    assert again.code == 0, again.text
    assert again.changes == []


# Without this one, the plan of a changed setting shows it a little later.
@pytest.mark.full
def test_a_cluster_with_new_certificates_is_as_the_site_says(renewal: Renewal) -> None:
    plan = renewal.site.provision("cluster", "--plan", "--exit-code")
    assert plan.code == 0, plan.text
