"""The linters find nothing, with no rule skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
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
    run(TOOLS / "mypy")


def test_ansible_lint_production() -> None:
    run(TOOLS / "ansible-lint", "--nocolor", "--offline")


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
