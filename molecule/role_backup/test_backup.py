"""A control plane that makes backups by itself: on time, whole, and of use to the operator alone."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision import backups
from provision.backups import Backup
from tests.e2e.site import eventually
from tests.machines import Machines

STORE = "/var/lib/provision/backups"
UPLOADS = "/run/uploads"
# What a signature has to be made of, tests/unit/test_s3.py computes anew.
OBJECT_STORAGE = f"""
import http.server, pathlib
class Bucket(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        known = "Credential=scenario/" in self.headers["Authorization"]
        if known:
            pathlib.Path("{UPLOADS}", pathlib.Path(self.path).name).write_bytes(data)
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9000), Bucket).serve_forever()
"""


@pytest.fixture(scope="module", autouse=True)
def object_storage(machines: Machines) -> Iterator[None]:
    """Object storage on the machine itself, as far as uploads need it."""
    program = shlex.quote(OBJECT_STORAGE)
    machines.run("cp1", f"mkdir {UPLOADS} && systemd-run --quiet --unit object-storage python3 -c {program}")
    eventually(lambda: machines.run("cp1", "ss -Hltn | grep -q :9000"), seconds=20, every=0.2)
    yield
    machines.run("cp1", f"systemctl stop object-storage; rm -r {UPLOADS}")


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


def test_object_storage_has_the_same(machines: Machines, made: Backup) -> None:
    uploaded = machines.run("cp1", f"sha256sum {UPLOADS}/{made.path.name}")
    assert uploaded.split()[0] == hashlib.sha256(made.path.read_bytes()).hexdigest()


def test_only_root_reads_what_uploads_are_signed_with(machines: Machines) -> None:
    told = machines["cp1"].file("/etc/kubernetes/provision/backup/s3.json")
    assert (told.user, told.mode) == ("root", 0o600)


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
