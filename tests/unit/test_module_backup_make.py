"""A backup is what the installed program says that it made; its own words tell why there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, Tools

MADE = {"path": "/var/backups/prod.backup", "manifest": {"cluster": "prod"}, "removed": ["old.backup"]}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    return Tools(tmp_path, monkeypatch)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def make(run: ModuleRunner, tools: Tools, *, check: bool = False) -> dict[str, Any]:
    return run("backup_make", check=check, program=str(tools.directory / "provision-backup"))


def test_each_run_makes_a_backup_and_tells_what_the_program_tells(run: ModuleRunner, tools: Tools) -> None:
    tools.add("provision-backup", f"echo '{json.dumps(MADE)}'; echo a warning >&2")
    for _ in range(2):
        result = make(run, tools)
        assert result["changed"] is True
        assert {name: result[name] for name in MADE} == MADE
    assert [call.rstrip() for call in tools.calls()] == ["provision-backup"] * 2


def test_check_mode_makes_none(run: ModuleRunner, tools: Tools) -> None:
    tools.add("provision-backup", f"echo '{json.dumps(MADE)}'")
    result = make(run, tools, check=True)
    assert (result["changed"], "path" in result, tools.calls()) == (True, False, [])


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo '  provision-backup: no member gave a snapshot  ' >&2", "provision-backup: no member gave a snapshot"),
        ("echo the only words", "the only words"),
        ("echo half a line; echo the reason >&2", "the reason"),
    ],
    ids=["stderr", "stdout", "both"],
)
def test_the_programs_words_say_why_there_is_none(run: ModuleRunner, tools: Tools, script: str, message: str) -> None:
    tools.add("provision-backup", f"{script}; exit 1")
    result = make(run, tools)
    assert (result["failed"], result["msg"]) == (True, message)


def test_of_a_long_story_the_end_is_told(run: ModuleRunner, tools: Tools) -> None:
    tools.add("provision-backup", "seq 1 2000 >&2; echo the reason >&2; exit 1")
    message = make(run, tools)["msg"]
    assert message.endswith("2000\nthe reason")
    assert len(message) == 1500


def test_one_that_is_killed_is_told_too(run: ModuleRunner, tools: Tools) -> None:
    tools.add("provision-backup", "kill -KILL $$")
    assert make(run, tools)["msg"].endswith("/provision-backup ended with -9")


def test_a_program_that_is_not_installed_is_told(run: ModuleRunner, tools: Tools) -> None:
    result = make(run, tools)
    assert (result["failed"], result["msg"]) == (True, "Error executing command.")
    assert result["cmd"].endswith("/provision-backup")
