"""What a restore refuses before any machine is asked: each with exit code 4 and the next step."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from provision import backups
from provision.errors import PreflightRefused, UsageError
from provision.lifecycle import restore
from tests.unit.test_backups import SNAPSHOT, changed, program

__all__ = ["program"]
SETTINGS = {
    "cluster_name": "prod", "cluster_version": "1.36.4", "cluster_domain": "cluster.local",
    "cluster_pod_cidr": "10.244.0.0/16",
}  # fmt: skip


@pytest.fixture
def made(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup of the cluster prod, for the operator's own key."""
    monkeypatch.setenv("PROVISION_STATE_DIR", str(tmp_path / "state"))
    backups.recipient("", make=True)
    recipient = str(backups.home() / "recipient.pem")
    monkeypatch.setattr(program, "SECRETS", (recipient,))
    monkeypatch.setattr(program, "OTHERS", ())
    monkeypatch.setattr(program, "CA", recipient)
    database = tmp_path / "snapshot.db"
    database.write_bytes(SNAPSHOT)
    settings = {"cluster": "prod", "node": "cp1", "version": "1.36.4", "settings": SETTINGS, "recipient": recipient}
    about = program.head(settings, time.gmtime(0), {"revision": 7, "totalKey": 3}, str(database))
    program.write(str(tmp_path / "made.backup"), settings, about, str(database))
    return tmp_path / "made.backup"


def check(file: Path, *, key: Path | None = None, without: tuple[str, ...] = (), **settings: Any) -> None:
    """The check of a site with these settings beside the backup's own."""
    hosts = tuple(SimpleNamespace(name=name) for name in ("cp1", "cp2", "cp3"))
    site = SimpleNamespace(control_planes=hosts, etcd_members=(), setting={**SETTINGS, **settings}.get)
    inputs = {"run_backup_file": str(file), "run_backup_key": str(key or backups.default_key())}
    restore.check(cast(Any, site), cast(Any, SimpleNamespace(inputs=inputs, without=without)))


def test_a_backup_of_this_cluster_is_taken(made: Path) -> None:
    check(made)


def test_a_damaged_snapshot_is_refused(made: Path) -> None:
    with pytest.raises(PreflightRefused, match=r"the digest of etcd\.0000"):
        check(changed(made, "etcd.0000", lambda data: data[:-1] + bytes([data[-1] ^ 1])))


def test_a_wrong_key_is_refused(made: Path, tmp_path: Path) -> None:
    backups._make_key(tmp_path / "other.pem", tmp_path / "other.crt")

    with pytest.raises(PreflightRefused, match="of another recipient"):
        check(made, key=tmp_path / "other.pem")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cluster_name", "other", "is a backup of the cluster prod"),
        ("cluster_version", "1.35.4", "the backup is of Kubernetes 1.36.4"),
        ("cluster_pod_cidr", "10.0.0.0/16", "cluster_pod_cidr is 10.244.0.0/16"),
    ],
)
def test_another_cluster_than_the_sites_is_refused(made: Path, name: str, value: str, said: str) -> None:
    with pytest.raises(PreflightRefused, match=said):
        check(made, **cast(dict[str, Any], {name: value}))


def test_no_control_plane_can_be_left_out(made: Path) -> None:
    with pytest.raises(PreflightRefused, match="cp2 cannot be left out"):
        check(made, without=("cp2",))


def test_a_worker_can_be_left_out(made: Path) -> None:
    check(made, without=("w1",))


def test_a_backup_must_be_named() -> None:
    request = SimpleNamespace(inputs={}, without=())
    with pytest.raises(UsageError, match="no backup is named"):
        restore.blast(cast(Any, SimpleNamespace(control_planes=())), cast(Any, request))
