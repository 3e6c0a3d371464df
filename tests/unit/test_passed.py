"""What passed is not run again on the same files, and on no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.passed import AGAIN, KEPT, ROOT, Passed
from tests.scenarios import test_scenarios as scenarios


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVISION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv(AGAIN, raising=False)
    for name in ("constraints.txt", "pyproject.toml", "roles/etcd/tasks/main.yml", "docs/index.md"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return tmp_path


def outcome(project: Path, what: str = "role_etcd") -> Passed:
    return Passed(what, ["roles/etcd"], project=project)


def test_it_runs_once_on_the_same_files(project: Path) -> None:
    assert outcome(project).reason == ""
    outcome(project).note()
    assert outcome(project).reason.startswith("passed here on 20")
    assert outcome(project, "role_dns").reason == ""


@pytest.mark.parametrize("file", ["roles/etcd/tasks/main.yml", "roles/etcd/new.yml", "constraints.txt"])
def test_a_changed_file_makes_it_run(project: Path, file: str) -> None:
    outcome(project).note()
    (project / file).write_text("changed")
    assert outcome(project).before is None


def test_a_file_that_may_be_executed_now_is_another_one(project: Path) -> None:
    outcome(project).note()
    (project / "roles/etcd/tasks/main.yml").chmod(0o755)
    assert outcome(project).before is None


def test_what_it_does_not_hang_on_may_change(project: Path) -> None:
    outcome(project).note()
    (project / "docs/index.md").write_text("changed")
    assert outcome(project).before is not None


def test_files_that_changed_while_it_ran_are_not_called_passed(project: Path) -> None:
    began = outcome(project)
    (project / "roles/etcd/tasks/main.yml").write_text("changed")
    began.note()
    assert outcome(project).before is None
    assert began.before is None


def test_it_is_forgotten_after_a_week_and_when_asked_to(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome(project).note()
    [file] = (project / "cache/tests/passed").iterdir()
    monkeypatch.setenv(AGAIN, "1")
    assert outcome(project).before is None
    monkeypatch.delenv(AGAIN)
    old = time.time() - KEPT * 86400 - 1
    os.utime(file, (old, old))
    assert outcome(project).before is None
    outcome(project, "role_dns").note()
    assert not file.exists()


@pytest.mark.parametrize("name", [name for kind in ("role", "flow") for name in scenarios.scenarios(kind)])
def test_a_scenario_hangs_on_its_own_files_and_on_those_of_the_roles_that_it_applies(name: str) -> None:
    found = scenarios.inputs(name)
    assert f"molecule/{name}" in found
    assert all((ROOT / part).exists() for part in found), found
    kind, _, stem = name.partition("_")
    assert ({f"roles/{stem}", "roles/cluster"} if kind == "role" else {"roles", "playbooks"}) <= found


def test_machines_whose_tests_were_only_collected_have_not_passed(project: Path) -> None:
    """`project` leads the notes to a directory of its own."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", "tests/vm"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "test_units_start_in_order" in done.stdout, done.stderr
    assert not (project / "cache/tests").exists()
