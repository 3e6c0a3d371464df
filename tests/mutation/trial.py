"""A mutant and the tests of its role: which one notices first."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutation.mutants import Mutant

_PARTS = ("roles", "playbooks", "plugins", "group_vars", "inventory", "src", "tests", "molecule", ".config")
_FILES = ("groups.yml", "ansible.cfg", "pyproject.toml")
_SECONDS = 180
"""After which tests that do not end have noticed something too."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    caught_by: str
    """The first test that failed; empty when it survived."""


def tests_of(project: Path, role: str) -> list[str]:
    """The cheap tests of a role: the contract, what is rendered, and the unit tests that read its files."""
    contract = [f"tests/contract/{name}.py::test_the_roles_keep" for name in ("test_roles", "test_wiring")]
    reads = re.compile(rf"roles/{role}/(files|templates|vars|defaults)|\bRole\(\"{role}\"")
    speak_of_it = [
        str(file.relative_to(project))
        for folder in ("render", "unit")
        for file in sorted((project / "tests" / folder).glob("test_*.py"))
        if file.name != "test_expected.py" and reads.search(file.read_text(encoding="utf-8"))
    ]
    page = project / "tests/render/expected" / f"{role}.txt"
    whole = [f"tests/render/test_expected.py::test_what_a_role_writes[{role}]"] if page.exists() else []
    return [*whole, *contract, *speak_of_it]


def copy_of(project: Path, to: Path) -> Path:
    """The parts of the project that the cheap tests read."""
    ignored = shutil.ignore_patterns("__pycache__", ".cache")
    for part in _PARTS:
        if (project / part).is_dir():
            shutil.copytree(project / part, to / part, symlinks=True, ignore=ignored)
    for name in _FILES:
        shutil.copy2(project / name, to / name)
    return to


def failures(
    project: Path, tests: Sequence[str], *, without: Sequence[str] = (), all_of_them: bool = False
) -> list[str]:
    """The first test that fails in this project, or all of them. Leaves the process in no state to go on with."""
    watch = _Watch()
    os.chdir(project)
    sys.path[:0] = [str(project / "src"), str(project)]
    for name in [name for name in sys.modules if name.split(".")[0] in {"provision", "tests"}]:
        del sys.modules[name]
    signal.signal(signal.SIGALRM, lambda *_: pytest.exit("takes too long"))
    signal.alarm(_SECONDS)
    flags = ["-q", "-p", "no:cacheprovider", "--rootdir", str(project), *([] if all_of_them else ["-x"])]
    flags += [f"--deselect={test}" for test in without]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = pytest.main([*flags, *tests], plugins=[watch])
    return watch.failed or ([] if code == pytest.ExitCode.OK else [f"pytest ended with {int(code)}"])


class _Watch:
    """Remembers the tests and files that fail."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)


def failing_already(role: str, project: Path) -> list[str]:
    """The tests of a role that fail although nothing was changed."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        copy = copy_of(project, Path(directory).resolve())
        return failures(copy, tests_of(copy, role), all_of_them=True)


def caught_cheaply(mutant: Mutant, project: Path, without: Sequence[str]) -> str:
    """Break a copy of the project and run the role's cheap tests in it, but those `without`, which fail anyway.

    Returns the first that fails, as plain text: this process has forgotten what a Verdict is.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        copy = copy_of(project, Path(directory).resolve())
        mutant.apply(copy)
        return next(iter(failures(copy, tests_of(copy, mutant.role), without=without)), "")


def scenario_passes(scenario: str, project: Path, mutant: Mutant | None = None) -> bool:
    """Whether a Molecule scenario passes in a copy of the project, which the mutant has broken when there is one."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        copy = copy_of(project, Path(directory).resolve())
        if mutant:
            mutant.apply(copy)
        # Molecule looks for its own settings at the root of a git repository, which the copy is not.
        settings = ["--base-config", copy / ".config/molecule/config.yml"]
        tools = Path(sys.executable).parent
        done = subprocess.run(
            [tools / "molecule", *settings, "test", "-s", scenario],
            cwd=copy,
            # Flows call `provision` by its name.
            env={**os.environ, "PYTHONPATH": str(copy / "src"), "PATH": f"{tools}:{os.environ['PATH']}"},
            capture_output=True,
            check=False,
        )
        return done.returncode == 0
