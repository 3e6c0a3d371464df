"""Backups are opened only whole, by their key, and by what they say of themselves."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from provision import backups
from provision.errors import InvalidInput, PreflightRefused

SCRIPT = Path(__file__).parents[2] / "roles/backup/files/backup.py"
SNAPSHOT = bytes(range(256)) * 5000


@pytest.fixture
def program() -> ModuleType:
    """The program of the control planes."""
    spec = importlib.util.spec_from_file_location("backup_program", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def made(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backup in two pieces, made by the program itself for the operator's own key."""
    monkeypatch.setenv("PROVISION_STATE_DIR", str(tmp_path / "state"))
    backups.recipient("", make=True)
    secrets = []
    for name in ("ca.key", "encryption.yaml"):
        path = tmp_path / "node" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"secret of {name}")
        secrets.append(str(path))
    monkeypatch.setattr(program, "SECRETS", tuple(secrets))
    monkeypatch.setattr(program, "OTHERS", ())
    monkeypatch.setattr(program, "PIECE", len(SNAPSHOT) // 2 + 1)
    monkeypatch.setattr(program, "CA", str(backups.home() / "recipient.pem"))
    database = tmp_path / "snapshot.db"
    database.write_bytes(SNAPSHOT)
    settings = {
        "cluster": "prod", "node": "cp1", "version": "1.36.4", "settings": {"cluster_domain": "cluster.local"},
        "recipient": str(backups.home() / "recipient.pem"),
    }  # fmt: skip
    about = program.head(settings, time.gmtime(0), {"revision": 7, "totalKey": 3}, str(database))
    target = tmp_path / "prod-cp1-19700101T000000Z.backup"
    program.write(str(target), settings, about, str(database))
    return target


def changed(path: Path, name: str, change: Any) -> Path:
    """A copy of a backup in which one member was changed."""
    target = path.with_name("changed.backup")
    with tarfile.open(path) as old, tarfile.open(target, "w") as new:
        for member in old.getmembers():
            stream = old.extractfile(member)
            assert stream is not None
            data = change(stream.read()) if member.name == name else stream.read()
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return target


def manifest_with(**values: object) -> Any:
    return lambda data: json.dumps({**json.loads(data), **values}).encode()


def test_what_was_backed_up_comes_back(made: Path) -> None:
    backup = backups.read(made)
    backup.verify()
    files = backup.cluster_files(backups.default_key())
    target = io.BytesIO()
    backup.snapshot(backups.default_key(), target)

    assert (backup.cluster, backup.kubernetes, backup.created) == ("prod", "1.36.4", "1970-01-01T00:00:00Z")
    assert [part.name for part in backup.parts] == ["cluster", "etcd.0000", "etcd.0001"]
    assert b"secret of ca.key" in files.values()
    assert target.getvalue() == SNAPSHOT


def test_nothing_of_it_can_be_read_without_the_key(made: Path) -> None:
    data = made.read_bytes()

    assert b"secret of" not in data
    assert SNAPSHOT[:64] not in data
    assert made.stat().st_mode & 0o777 == 0o600
    assert backups.default_key().stat().st_mode & 0o777 == 0o600


def test_a_damaged_part_is_refused(made: Path) -> None:
    damaged = changed(made, "etcd.0001", lambda data: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])

    with pytest.raises(PreflightRefused, match=r"the digest of etcd\.0001"):
        backups.read(damaged).verify()


def test_a_part_whose_digest_was_forged_is_refused_by_its_seal(made: Path) -> None:
    def flip(data: bytes) -> bytes:
        return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]

    damaged = changed(made, "cluster", flip)
    with tarfile.open(damaged) as archive:
        data = archive.extractfile("cluster")
        assert data is not None
        forged = hashlib.sha256(data.read()).hexdigest()
    parts = [{**part, "sha256": forged} if part["name"] == "cluster" else part for part in _parts(made)]
    damaged = changed(damaged.rename(made), "manifest.json", manifest_with(parts=parts))
    backup = backups.read(damaged)
    backup.verify()

    with pytest.raises(PreflightRefused):
        backup.cluster_files(backups.default_key())


def _parts(path: Path) -> list[dict[str, Any]]:
    return [{"name": part.name, "size": part.size, "sha256": part.sha256} for part in backups.read(path).parts]


@pytest.mark.parametrize(
    "change",
    [lambda _: b"{", lambda _: b"[]", manifest_with(format="provision-backup/9"), manifest_with(parts=[{}])],
    ids=["cut off", "no object", "another form", "parts without names"],
)
def test_a_damaged_manifest_is_refused(made: Path, change: Any) -> None:
    with pytest.raises(PreflightRefused, match="manifest"):
        backups.read(changed(made, "manifest.json", change))


def test_a_manifest_that_names_another_cluster_is_refused(made: Path) -> None:
    backup = backups.read(changed(made, "manifest.json", manifest_with(cluster="other")))
    backup.verify()

    with pytest.raises(PreflightRefused, match="its manifest was changed"):
        backup.cluster_files(backups.default_key())


def test_another_key_is_refused(made: Path, tmp_path: Path) -> None:
    key = tmp_path / "other.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", key], check=True
    )

    with pytest.raises(PreflightRefused, match="of another recipient"):
        backups.read(made).cluster_files(key)


def test_a_file_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.backup"
    file.write_bytes(b"not a backup")

    with pytest.raises(PreflightRefused, match="manifest"):
        backups.read(file)
    with pytest.raises(PreflightRefused, match="is not there"):
        backups.read(tmp_path / "none.backup")


def test_a_private_key_is_no_recipient(tmp_path: Path, made: Path) -> None:
    mixed = tmp_path / "mixed.pem"
    mixed.write_text(backups.default_key().read_text() + (backups.home() / "recipient.pem").read_text())

    with pytest.raises(InvalidInput, match="private key"):
        backups.recipient(str(mixed), make=False)


def test_a_lost_certificate_does_not_replace_the_key(made: Path) -> None:
    before = backups.default_key().read_bytes()
    (backups.home() / "recipient.pem").unlink()

    with pytest.raises(InvalidInput, match=r"recipient\.pem is not"):
        backups.recipient("", make=True)
    assert backups.default_key().read_bytes() == before


def test_the_oldest_go_and_those_of_other_nodes_stay(program: Any, tmp_path: Path) -> None:
    names = [f"prod-cp1-2026010{day}T000000Z.backup" for day in range(1, 5)]
    for name in [*names, "prod-cp2-20260101T000000Z.backup", "prod-cp1-20260109T000000Z.backup.part"]:
        (tmp_path / name).touch()

    assert set(program.prune(str(tmp_path), "prod-cp1-", 2)) == {*names[:2], "prod-cp1-20260109T000000Z.backup.part"}
    assert {path.name for path in tmp_path.iterdir()} == {*names[2:], "prod-cp2-20260101T000000Z.backup"}


def test_a_missing_mount_is_not_filled(program: Any, made: Path, tmp_path: Path) -> None:
    with pytest.raises(program.BackupError, match="is it mounted"):
        program.copy(str(made), str(tmp_path / "mnt"))


def test_a_place_that_fails_does_not_keep_the_backup_from_another(
    program: Any, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, uploader, copies = tmp_path / "s3.json", tmp_path / "provision-s3", tmp_path / "copies"
    told.write_text('{"secret": "hunter2"}')
    uploader.write_text(f'#!/bin/sh\ncat > {tmp_path}/given\necho "$*" > {tmp_path}/words\n')
    uploader.chmod(0o755)
    monkeypatch.setattr(program, "S3", str(uploader))
    settings = {"copies": str(copies), "s3": str(told), "keep": 3}

    with pytest.raises(program.BackupError, match="is it mounted"):
        program.spread(str(made), settings, "prod-cp1-")
    assert (tmp_path / "given").read_text() == told.read_text()
    assert (tmp_path / "words").read_text() == f"put {made}\n"
    copies.mkdir()
    uploader.write_text("#!/bin/sh\necho '403 AccessDenied' >&2\nexit 1\n")
    with pytest.raises(program.BackupError, match=r"^the backup is made, but not uploaded: .* 403 AccessDenied$"):
        program.spread(str(made), settings, "prod-cp1-")
    assert [path.name for path in copies.iterdir()] == [made.name]
    program.spread(str(made), {"copies": "", "s3": "", "keep": 3}, "prod-cp1-")


def test_a_snapshot_is_asked_of_members_that_answer(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    etcdctl = tmp_path / "etcdctl"
    etcdctl.write_text(
        f"""#!/bin/sh
echo "$*" >> {calls}
case "$*" in
  *//dead:*) echo "connection refused" >&2; exit 1 ;;
  "endpoint status"*) echo '[{{"Status": {{"dbSize": 4096}}}}]' ;;
esac
"""
    )
    etcdctl.chmod(0o755)
    (tmp_path / "etcdutl").write_text("#!/bin/sh\necho '{\"revision\": 7}'\n")
    (tmp_path / "etcdutl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    alive, size = program.answering(["https://dead:2379", "https://cp2:2379"])
    said = program.snapshot(alive, str(tmp_path / "snapshot.db"))

    assert (alive, size, said) == (["https://cp2:2379"], 4096, {"revision": 7})
    assert not [line for line in calls.read_text().splitlines() if "snapshot" in line and "dead" in line]
    with pytest.raises(program.BackupError, match=r"no member of etcd answers: https://dead:2379: .*refused"):
        program.answering(["https://dead:2379"])
