"""The control plane keeps a backup, the operator has the same one, and the cluster goes on as it was."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from provision import backups
from provision.backups import Backup
from tests.e2e.site import provision
from tests.machines import Machines


@pytest.fixture
def fetched(machines: Machines) -> Backup:
    """The newest backup on this machine."""
    place = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "backups"
    return backups.read(next(backups.known(str(machines.site.setting("cluster_name")), place)))


def test_the_operator_has_what_the_control_plane_has(machines: Machines, fetched: Backup) -> None:
    kept = machines.run("cp1", f"sha256sum /var/lib/provision/backups/{fetched.path.name}")
    assert kept.split()[0] == hashlib.sha256(fetched.path.read_bytes()).hexdigest()


def test_it_opens_for_the_operator(machines: Machines, fetched: Backup) -> None:
    fetched.verify()
    authority = fetched.cluster_files(backups.default_key())["etc/kubernetes/pki/ca.key"]
    assert authority == machines["cp1"].file("/etc/kubernetes/pki/ca.key").content


def test_the_status_tells_its_age(machines: Machines) -> None:
    status = provision("status", "-i", machines.site.path)
    assert status.code == 0, status.text
    assert status.document["backup"]["host"] == "cp1"
    assert status.document["backup"]["age_hours"] < 1


def test_the_plan_is_empty(machines: Machines) -> None:
    plan = provision("cluster", "--plan", "--exit-code", "-i", machines.site.path)
    assert plan.code == 0, plan.text
    assert plan.changes == []
