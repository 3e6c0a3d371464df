"""A member's data is made of a snapshot, whole or not at all, and never in the place of data that is there."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.programs import program
from tests.unit.module_runner import ModuleRunner, Tools, load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the data gets an owner: needs root")
module = load("etcd_restore")
# The recipe that builds etcd names the program after its directory.
ETCD, ETCDCTL, ETCDUTL = program("etcd") or program("server"), program("etcdctl"), program("etcdutl")
needs_etcd = pytest.mark.skipif(None in (ETCD, ETCDCTL, ETCDUTL), reason="etcd is neither installed nor built here")
OWNER = pwd.getpwnam("daemon")
# Does as etcdutl, which writes only where nothing is: the directory is the word after --data-dir.
ETCDUTL_STAND_IN = """
while [ "$1" != --data-dir ]; do shift; done
[ ! -e "$2" ] || { echo "data-dir $2 not empty" >&2; exit 1; }
mkdir -p "$2/member/snap" && echo data > "$2/member/snap/db"
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = Tools(tmp_path, monkeypatch)
    made.add("etcdutl", ETCDUTL_STAND_IN)
    return made


def restore(run: ModuleRunner, data: Path, *, check: bool = False, **options: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "snapshot": "/tmp/snapshot.db", "name": "m1", "members": [{"name": "m1", "address": "10.0.0.1"}],
        "token": "prod-restored", "data_dir": str(data), "owner": "daemon",
    }  # fmt: skip
    return run(module, check=check, **(arguments | options))


def test_the_data_is_the_users_and_nothing_else_stays(run: ModuleRunner, tools: Tools, tmp_path: Path) -> None:
    data = tmp_path / "etcd"
    assert restore(run, data)["changed"] is True
    found = sorted(str(path.relative_to(data)) for path in data.rglob("*"))
    assert found == ["member", "member/snap", "member/snap/db"]
    assert data.stat().st_mode & 0o777 == 0o700
    for path in (data, *data.rglob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == (OWNER.pw_uid, OWNER.pw_gid), path


def test_every_member_is_told_of_all(run: ModuleRunner, tools: Tools, tmp_path: Path) -> None:
    members = [{"name": "m1", "address": "10.0.0.1"}, {"name": "m2", "address": "fd00::2"}]
    restore(run, tmp_path / "etcd", name="m2", members=members)
    assert tools.calls()[0].partition(" --name ")[2].split() == [
        "m2",
        *("--initial-advertise-peer-urls", "https://[fd00::2]:2380"),
        *("--initial-cluster", "m1=https://10.0.0.1:2380,m2=https://[fd00::2]:2380"),
        *("--initial-cluster-token", "prod-restored"),
        *("--data-dir", f"{tmp_path}/etcd/.restored"),
        *("--bump-revision", "1000000000", "--mark-compacted"),
    ]


@pytest.mark.parametrize("check", [False, True])
def test_data_that_is_there_is_never_replaced(run: ModuleRunner, tools: Tools, tmp_path: Path, check: bool) -> None:
    (tmp_path / "etcd/member").mkdir(parents=True)
    result = restore(run, tmp_path / "etcd", check=check)
    assert (result["failed"], tools.calls()) == (True, [])
    assert result["msg"] == f"{tmp_path}/etcd holds data already, which is never replaced"


def test_check_mode_makes_nothing(run: ModuleRunner, tools: Tools, tmp_path: Path) -> None:
    assert restore(run, tmp_path / "etcd", check=True)["changed"] is True
    assert (tools.calls(), (tmp_path / "etcd").exists()) == ([], False)


@pytest.mark.parametrize(
    ("script", "words"),
    [("echo a log; echo 'Error: bad snapshot' >&2", "Error: bad snapshot"), ("echo 'no space'", "no space")],
    ids=["stderr", "stdout"],
)
def test_a_restore_that_fails_leaves_no_data_and_the_next_one_works(
    run: ModuleRunner, tools: Tools, tmp_path: Path, script: str, words: str
) -> None:
    data = tmp_path / "etcd"
    tools.add("etcdutl", f"mkdir -p {data}/.restored/member; {script}; exit 1")
    result = restore(run, data)
    assert (result["failed"], result["msg"]) == (True, f"etcdutl snapshot restore: {words}")
    assert not (data / "member").exists()
    tools.add("etcdutl", ETCDUTL_STAND_IN)
    assert restore(run, data)["changed"] is True
    assert [path.name for path in data.iterdir()] == ["member"]


def free_url() -> str:
    """An address that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{found.getsockname()[1]}"


@contextmanager
def etcd(data: Path) -> Iterator[Any]:
    """A running member m1 with this data; yields what asks it."""
    url, peer = free_url(), free_url()
    command = [
        str(ETCD), "--name", "m1", "--data-dir", str(data), "--log-level", "fatal", "--listen-client-urls", url,
        "--advertise-client-urls", url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", f"m1={peer}",
    ]  # fmt: skip

    def ask(*words: str) -> str:
        asked = [str(ETCDCTL), f"--endpoints={url}", "--dial-timeout=20s", "--command-timeout=20s", *words]
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout

    with subprocess.Popen(command) as server:
        try:
            yield ask
        finally:
            server.terminate()


@needs_etcd
def test_what_was_in_the_snapshot_is_read_at_a_revision_far_above_it(
    run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ETCDUTL is not None
    monkeypatch.setenv("PATH", f"{ETCDUTL.parent}:{os.environ['PATH']}")
    snapshot = tmp_path / "snapshot.db"
    with etcd(tmp_path / "old") as ask:
        ask("put", "/registry/a", "kept")
        ask("snapshot", "save", str(snapshot))
    result = restore(run, tmp_path / "etcd", snapshot=str(snapshot))
    assert result["changed"] is True, result
    with etcd(tmp_path / "etcd") as ask:
        assert ask("get", "/registry/a", "--print-value-only").strip() == "kept"
        assert json.loads(ask("get", "/registry/a", "--write-out=json"))["header"]["revision"] > module.BUMP


@needs_etcd
def test_a_damaged_snapshot_is_refused(run: ModuleRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ETCDUTL is not None
    monkeypatch.setenv("PATH", f"{ETCDUTL.parent}:{os.environ['PATH']}")
    (tmp_path / "snapshot.db").write_bytes(bytes(100_000))
    result = restore(run, tmp_path / "etcd", snapshot=str(tmp_path / "snapshot.db"))
    assert result["failed"]
    assert result["msg"].startswith("etcdutl snapshot restore: ")
    assert not (tmp_path / "etcd/member").exists()
