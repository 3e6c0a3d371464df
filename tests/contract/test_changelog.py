"""Changelog fragments are well named, and a release collects them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/changelog", tmp_path / "scripts/changelog")
    (tmp_path / "changelog").mkdir()
    (tmp_path / "changelog/README.md").write_text("how to\n")
    (tmp_path / "changelog/wheels.added.md").write_text("It has\nwheels.\n")
    return tmp_path


def run(project: Path, argument: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, project / "scripts/changelog", argument], capture_output=True, text=True, check=False
    )


def test_the_fragments_are_well_named() -> None:
    done = run(ROOT, "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("name", "text"), [("wheels.md", "x"), ("wheels.new.md", "x"), ("wheels.fixed.md", " \n")])
def test_a_bad_fragment_is_named(copy: Path, name: str, text: str) -> None:
    (copy / "changelog" / name).write_text(text)
    done = run(copy, "--check")
    assert done.returncode == 1
    assert name in done.stderr


def test_a_release_collects_them_above_the_earlier_ones(copy: Path) -> None:
    assert run(copy, "0.1.0").returncode == 0
    (copy / "changelog/brakes.fixed.md").write_text("Brakes work.\n")
    assert run(copy, "0.2.0").returncode == 0

    page = (copy / "CHANGELOG.md").read_text()
    assert page.startswith("# Changelog\n\n## 0.2.0 (")
    assert page.index("- Brakes work.") < page.index("## 0.1.0 (") < page.index("- It has wheels.")
    assert [file.name for file in (copy / "changelog").iterdir()] == ["README.md"]
