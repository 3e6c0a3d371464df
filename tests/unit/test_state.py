"""Runs are recorded whole and in private, and one run works on a site at a time."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provision import state
from provision.errors import Locked, UsageError


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVISION_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "lab").mkdir()
    path = tmp_path / "lab" / "site.ini"
    path.touch()
    return path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_key_of_a_site_is_readable_and_its_own(tmp_path: Path) -> None:
    one, other = state.site_key(tmp_path / "lab/site.ini"), state.site_key(tmp_path / "prod/lab/site.ini")

    assert one.startswith("lab-site-")
    assert one != other
    assert one == state.site_key(tmp_path / "lab/../lab/site.ini")


def test_runs_are_numbered_and_the_newest_comes_first(site: Path) -> None:
    history = state.History.of(site)
    with state.lock(site, "cluster"):
        for _ in range(3):
            history.begin("cluster", site, "run", {})

        assert [record.number for record in history.records()] == [3, 2, 1]
        assert history.record().number == 3
        assert history.record(2).number == 2


def test_a_record_is_for_the_operator_alone(site: Path) -> None:
    history = state.History.of(site)
    history.begin("cluster", site, "run", {})
    file = history.directory / "runs" / "0001" / "run.json"

    assert _mode(file) == 0o600
    for directory in (file.parent, history.directory, state.state_home()):
        assert _mode(directory) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["run.json"]


def test_an_old_directory_that_others_can_read_is_closed(site: Path) -> None:
    state.site_directory(site).mkdir(parents=True, mode=0o755)
    state.History.of(site).begin("cluster", site, "run", {})

    assert _mode(state.site_directory(site)) == 0o700


def test_a_record_says_how_the_run_ended(site: Path) -> None:
    history = state.History.of(site)
    record = history.begin("cluster", site, "run", {"yes": True})
    history.save(replace(record, state=state.DONE, exit_code=0, result={"hosts": {}}))

    read = history.record(1)
    assert (read.state, read.exit_code, read.options, read.workflow) == ("done", 0, {"yes": True}, "cluster")
    assert json.loads((history.directory / "runs/0001/run.json").read_text())["format"] == state.FORMAT


def test_a_run_whose_process_is_gone_is_lost(site: Path) -> None:
    history = state.History.of(site)
    with state.lock(site, "cluster"):
        history.begin("cluster", site, "run", {})
        assert history.record().state == state.RUNNING

    assert history.record().state == state.LOST


def test_a_damaged_record_hides_no_other(site: Path) -> None:
    history = state.History.of(site)
    history.begin("cluster", site, "run", {})
    (history.directory / "runs" / "0002").mkdir()
    (history.directory / "runs" / "0002" / "run.json").write_text("{")

    assert [record.number for record in history.records()] == [1]
    assert history.begin("cluster", site, "run", {}).number == 3


def test_an_unknown_run_names_those_that_are_known(site: Path) -> None:
    history = state.History.of(site)
    with pytest.raises(UsageError, match="no run of this site"):
        history.record()
    history.begin("cluster", site, "run", {})
    with pytest.raises(UsageError, match="there is no run 7") as caught:
        history.record(7)
    assert caught.value.hint == "recorded runs: 1"


def test_all_sites_have_their_histories(site: Path) -> None:
    assert state.History.all() == []
    state.History.of(site).begin("cluster", site, "run", {})
    assert [history.directory.name for history in state.History.all()] == [state.site_key(site)]


_HOLDER = """
import sys, time
from pathlib import Path
from provision import state
with state.lock(Path(sys.argv[1]), "cluster"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_told_who_holds_the_site(site: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(site)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with (
            pytest.raises(Locked, match=rf"`provision cluster` of .*, process {other.pid}, since 20"),
            state.lock(site, "x"),
        ):
            pass
        other.kill()
        other.wait()

        with state.lock(site, "cluster"):  # the dead hold nothing
            assert state.holder(state.site_directory(site)) is not None
    assert state.holder(state.site_directory(site)) is None


def test_two_sites_do_not_wait_for_each_other(site: Path) -> None:
    with state.lock(site, "cluster"), state.lock(site.with_name("other.ini"), "cluster"):
        pass
