"""A control plane that makes backups by itself: on time, whole, and of use to the operator alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provision import backups
from provision.backups import Backup
from tests.machines import Machines

STORE = "/var/lib/provision/backups"


def make(machines: Machines) -> str:
    """Makes a backup as the timer does; returns its path on the machine."""
    # The name has the second in it.
    machines.run("cp1", "sleep 1 && systemctl start provision-backup.service")
    return machines.run("cp1", f"ls {STORE}/*.backup").splitlines()[-1]


@pytest.fixture(scope="module")
def made(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Backup:
    path = make(machines)
    here = tmp_path_factory.mktemp("backup") / Path(path).name
    here.write_bytes(machines["cp1"].file(path).content)
    return backups.read(here)


def test_it_is_made_on_time_now_and_after_a_reboot(machines: Machines) -> None:
    timer = machines["cp1"].service("provision-backup.timer")
    assert timer.is_running
    assert timer.is_enabled
    assert "6h" in machines.run("cp1", "systemctl show --property TimersMonotonic provision-backup.timer")


def test_it_is_whole_and_opens_for_the_operator(machines: Machines, made: Backup) -> None:
    made.verify()
    files = made.cluster_files(backups.default_key())
    for path in ("etc/kubernetes/pki/ca.key", "etc/kubernetes/provision/apiserver/encryption.yaml"):
        assert files[path] == machines["cp1"].file(f"/{path}").content


def test_it_holds_what_etcd_holds(made: Backup, tmp_path: Path) -> None:
    with (tmp_path / "snapshot.db").open("wb") as target:
        made.snapshot(backups.default_key(), target)
    assert b"/registry/namespaces/kube-system" in (tmp_path / "snapshot.db").read_bytes()


def test_nobody_else_reads_it(machines: Machines, made: Backup) -> None:
    for path, mode in ((STORE, 0o700), (f"{STORE}/{made.path.name}", 0o600)):
        file = machines["cp1"].file(path)
        assert (file.user, file.mode) == ("root", mode), path
    assert machines["cp1"].run("grep -r 'PRIVATE KEY' /etc/kubernetes/provision/backup").rc == 1


@pytest.mark.usefixtures("made")
def test_nothing_half_made_is_left(machines: Machines) -> None:
    assert machines.run("cp1", f"find {STORE} /run -name '*.part' -o -name 'provision-backup-*'") == ""


@pytest.mark.usefixtures("made")
def test_the_oldest_go(machines: Machines) -> None:
    later = [make(machines), make(machines)]
    assert machines.run("cp1", f"ls {STORE}/*").splitlines() == later


def test_wrong_values_are_refused(refused: Callable[..., str]) -> None:
    assert "backup_keep" in refused(backup_keep="all")
    assert "is not known" in refused(backup_interval_hour=6)
