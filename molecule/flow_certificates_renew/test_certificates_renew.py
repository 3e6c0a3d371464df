"""Every certificate is younger than the cluster and in use; the authorities are the old ones."""

from __future__ import annotations

import pytest

from provision import state
from tests.e2e.site import eventually, provision
from tests.machines import Machines

# Certificates, and the kubeconfigs that hold one. That of the kubelet names its certificate, an authority stays.
OLDER = """
cd /
for path in etc/kubernetes/*.conf etc/kubernetes/pki/*.crt etc/etcd/pki/*.crt var/lib/kubelet/pki/*-current.pem; do
  case "$path" in */ca.crt | */front-proxy-ca.crt | */kubelet.conf) continue ;; esac
  [ ! -f "$path" ] || find -L "$path" ! -newermt {moment}
done
"""


def test_certificates_are_younger_than_the_cluster(machines: Machines) -> None:
    runs = state.History.of(machines.site.path).records()
    made = next(run for run in runs if (run.workflow, run.mode) == ("cluster", "run"))
    for name in machines.group("k8s_cluster"):
        assert machines.run(name, OLDER.format(moment=made.ended)) == "", name


def test_the_api_and_etcd_show_the_new_ones(machines: Machines) -> None:
    for port, path in ((6443, "/etc/kubernetes/pki/apiserver.crt"), (2379, "/etc/etcd/pki/server.crt")):
        place = f"{machines.address('cp1')}:{port}"
        shown = machines["cp1"].run(f"openssl s_client -connect {place} </dev/null").stdout
        there = machines["cp1"].file(path).content_string
        assert there.split("-----")[2] in shown, path


def test_they_are_listed_with_a_year_to_go(machines: Machines) -> None:
    listed = provision("certificates", "-i", machines.site.path)
    assert listed.code == 0, listed.text
    days = {row["host"]: row["days_left"] for row in listed.document["certificates"] if not row["authority"]}
    assert set(days) == set(machines.group("k8s_cluster"))
    assert min(days.values()) >= 360


@pytest.mark.parametrize("name", ["cp1", "w1"])
def test_every_machine_is_a_ready_node_that_answers_the_api(machines: Machines, name: str) -> None:
    def answers() -> None:
        url = f"/api/v1/nodes/{name}/proxy/healthz"
        assert machines.run("cp1", f"kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw {url}") == "ok"

    assert name in machines.ready_nodes("cp1")
    # The API server finds its new certificate when it connects to a kubelet, and then closes all such connections once.
    eventually(answers, seconds=10)


def test_the_plan_is_empty(machines: Machines) -> None:
    plan = provision("cluster", "--plan", "--exit-code", "-i", machines.site.path)
    assert plan.code == 0, plan.text
    assert plan.changes == []
