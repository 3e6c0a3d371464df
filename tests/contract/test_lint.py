"""The linters find nothing, with no rule skipped. What takes long is read again only after a change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.passed import ROOT, Passed

TOOLS = Path(sys.executable).parent
SHELL_FILES = sorted(
    file
    for place in ("scripts", "benchmarks", ".ci", "src/provision/sandbox/image_files")
    for file in (ROOT / place).rglob("*")
    if file.is_file()
    and file.read_bytes()[:64].startswith((b"#!/usr/bin/env bash", b"#!/bin/bash", b"#!/bin/sh", b"# shellcheck shell"))
)


def run(*command: str | Path) -> None:
    environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_ruff_check() -> None:
    run(TOOLS / "ruff", "check", "--no-fix", ".")


def test_ruff_format() -> None:
    run(TOOLS / "ruff", "format", "--check", ".")


def test_mypy_strict() -> None:
    outcome = Passed("mypy", ["src"])
    if outcome.reason:
        pytest.skip(outcome.reason)
    run(TOOLS / "mypy")
    outcome.note()


def ansible_files() -> dict[str, list[str]]:
    """What ansible-lint finds to read in the project: by role, and under "" all that is no role's."""
    excluded = tuple(yaml.safe_load((ROOT / ".ansible-lint").read_text())["exclude_paths"])
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[str]] = {"": []}
    for name in listed.stdout.splitlines():
        path = Path(name)
        if path.parts[0] == "roles":
            found.setdefault(f"roles/{path.parts[1]}", []).append(name)
        elif path.suffix in {".yml", ".yaml"} and not name.startswith(excluded):
            found[""].append(name)
    there = {role: [name for name in names if (ROOT / name).is_file()] for role, names in found.items()}
    return {role: names for role, names in there.items() if names}


def test_ansible_lint_production() -> None:
    # A task's arguments are checked against the plugin.
    settings = [".ansible-lint", ".yamllint", "ansible.cfg", "plugins"]
    files = ansible_files()
    outcomes = {role: Passed(f"ansible-lint {role}", [*files[role], *settings]) for role in files}
    todo = [role for role, outcome in outcomes.items() if not outcome.before]
    if not todo:
        pytest.skip(outcomes[""].reason)
    # Without names it looks for files itself, and nothing that this test does not know of may stay unread.
    names = [name for role in todo for name in (role, *files[role]) if name] if len(todo) < len(files) else []
    run(TOOLS / "ansible-lint", "--nocolor", "--offline", *names)
    for role in todo:
        outcomes[role].note()


def test_ansible_lint_skips_nothing() -> None:
    settings = yaml.safe_load((ROOT / ".ansible-lint").read_text())
    assert settings["profile"] == "production"
    assert not {"skip_list", "warn_list", "mock_modules", "mock_roles"} & set(settings)
    hidden = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for place in ("roles", "playbooks")
        for file in (ROOT / place).rglob("*.yml")
        for line in file.read_text().splitlines()
        if "noqa" in line or "skip_ansible_lint" in line
    ]
    assert hidden == []
    assert not (ROOT / ".ansible-lint-ignore").exists()


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck() -> None:
    assert SHELL_FILES
    # What a node's own file sources is on the node.
    run("shellcheck", "--exclude=SC1091", *SHELL_FILES)
