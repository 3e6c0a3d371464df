"""The `unit` module decides by state and by the age of a unit's inputs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from .module_runner import load

unit = load("unit")


class Host:
    """A stand-in for the module with a systemd that knows one unit."""

    def __init__(self, properties: dict[str, str], check_mode: bool = False, **params: Any) -> None:
        self.params = {
            "name": "x.service",
            "state": "started",
            "enabled": True,
            "watch": [],
            "on_change": "restart",
            "pending": False,
            "ready": None,
            "timeout": 1,
            **params,
        }
        self.check_mode = check_mode
        self._properties = properties

    def run_command(self, words: list[str]) -> tuple[int, str, str]:
        return 0, "".join(f"{key}={value}\n" for key, value in self._properties.items()), ""


def properties(started_ago: float = 100.0, **other: str) -> dict[str, str]:
    tick = int((time.clock_gettime(time.CLOCK_MONOTONIC) - started_ago) * 1e6)
    return {
        "LoadState": "loaded",
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "FragmentPath": "",
        "DropInPaths": "",
        "NeedDaemonReload": "no",
        "ExecMainStartTimestampMonotonic": str(tick),
        "ActiveEnterTimestampMonotonic": str(tick),
        **other,
    }


def verbs(host: Host) -> list[str]:
    decided: list[str] = unit.decide(host, unit.Unit(host))
    return decided


@pytest.fixture(autouse=True)
def no_stamps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "STAMPS", str(tmp_path / "stamps"))


def file_aged(path: Path, seconds: float) -> str:
    path.write_text("x")
    os.utime(path, (time.time() - seconds,) * 2)
    return str(path)


def test_a_running_unit_whose_inputs_are_older_is_left_alone(tmp_path: Path) -> None:
    assert verbs(Host(properties(100), watch=[file_aged(tmp_path / "c", 200)])) == []


def test_a_newer_input_restarts_or_reloads(tmp_path: Path) -> None:
    newer = file_aged(tmp_path / "c", 50)
    assert verbs(Host(properties(100), watch=[newer])) == ["restart"]
    assert verbs(Host(properties(100), watch=[newer], on_change="reload")) == ["reload"]


def test_after_a_reload_the_same_input_demands_nothing(tmp_path: Path) -> None:
    host = Host(properties(100), watch=[file_aged(tmp_path / "c", 50)], on_change="reload")
    unit.Unit(host).mark_reloaded()
    assert verbs(host) == []


def test_a_stopped_unit_is_enabled_and_started() -> None:
    assert verbs(Host(properties(ActiveState="inactive", UnitFileState="disabled"))) == ["enable", "start"]


def test_a_masked_unit_is_unmasked_first() -> None:
    assert verbs(Host(properties(ActiveState="inactive", UnitFileState="masked"))) == ["unmask", "enable", "start"]


def test_absent_stops_and_disables_once() -> None:
    assert verbs(Host(properties(), state="absent")) == ["stop", "disable"]
    assert verbs(Host(properties(ActiveState="inactive", UnitFileState="disabled"), state="absent")) == []


def test_check_mode_believes_that_a_pending_file_will_change() -> None:
    assert verbs(Host(properties(), check_mode=True, pending=True)) == ["restart"]
    assert verbs(Host(properties(), check_mode=False, pending=True)) == []


def test_readiness_tells_why_not() -> None:
    assert unit.answers({"command": ["false"]}) is not None
    assert unit.answers({"command": ["true"]}) is None
    assert "refused" in str(unit.answers({"tcp": "127.0.0.1:1"}))


def test_what_has_to_answer_besides_is_waited_for_too(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    own = {"command": ["test", "-e", str(tmp_path / "there")]}
    assert unit.answers({**own, "also": {}}) is None
    assert "missing" in unit.answers({**own, "also": {"command": ["cat", str(tmp_path / "missing")]}})
