"""The status tells how old the newest backup is, and calls a schedule that is not kept overdue."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from provision.status_report import backup, backup_problems
from tests.unit.module_runner import load


def found(interval: int, **ages: float | None) -> list[str]:
    hosts = {name: {"backup_age_hours": age} for name, age in ages.items()}
    rows = backup_problems(backup({"backup_interval_hours": interval}, {**hosts, "dead": None}))
    return [str(row["message"]) for row in rows]


@pytest.mark.parametrize(("interval", "age"), [(0, None), (0, 9000.0), (24, 0.1), (24, 48.0)])
def test_a_schedule_that_is_kept_and_none_at_all_are_no_problem(interval: int, age: float | None) -> None:
    assert found(interval, cp1=age) == []


def test_twice_the_interval_is_overdue() -> None:
    assert found(24, cp1=48.1, cp2=None) == ["the newest backup is 48 hours old, one is due every 24 hours"]


def test_none_at_all_is_overdue() -> None:
    assert found(24, cp1=None) == ["no control plane holds a backup, one is due every 24 hours"]


def test_the_newest_of_all_control_planes_counts() -> None:
    hosts = {"cp1": {"backup_age_hours": 50.0}, "cp2": {"backup_age_hours": 2.0}, "w1": {"backup_age_hours": None}}

    assert backup({}, hosts) == {"age_hours": 2.0, "host": "cp2", "interval_hours": 0}


def test_the_age_is_that_of_the_newest_file(tmp_path: Path) -> None:
    module = load("host_status")
    assert module.backup_age(str(tmp_path)) is None
    for name, hours in (("a.backup", 30), ("b.backup", 3), ("c.backup.part", 0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, time.time() - hours * 3600))

    assert module.backup_age(str(tmp_path)) == 3.0
