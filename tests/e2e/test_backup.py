"""A backup is on every control plane and on the operator's machine, and opens for the operator alone."""

from __future__ import annotations

from provision import backups
from tests.e2e.site import Site


def test_every_control_plane_keeps_one_and_one_is_brought_here(cluster: Site) -> None:
    made = cluster.provision("backup", "--yes")
    newest = backups.read(next(backups.known("sandbox")))
    newest.verify()
    authority = newest.cluster_files(backups.default_key())["etc/kubernetes/pki/ca.key"].decode()

    assert made.code == 0, made.text
    assert made.changed_hosts == set(cluster.control_planes)
    assert authority.strip() == cluster.run(cluster.control_planes[0], "cat /etc/kubernetes/pki/ca.key").strip()
    for name in cluster.control_planes:
        listed = cluster.run(name, "stat -c '%a %U' /var/lib/provision/backups /var/lib/provision/backups/*.backup")
        assert listed.splitlines()[0] == "700 root"
        assert set(listed.splitlines()[1:]) == {"600 root"}
