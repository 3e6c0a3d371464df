"""Every Molecule scenario, as `molecule test` runs it by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The longest first: then two that run side by side end at about the same time.
LONGEST = ("role_dns", "role_network", "role_node", "role_control_plane")


def scenarios(kind: str) -> list[str]:
    """The names of the scenarios of roles or of workflows."""
    names = [file.parent.name for file in (ROOT / "molecule").glob(f"{kind}_*/molecule.yml")]
    return sorted(names, key=lambda name: (name not in LONGEST, name))


def reason(said: str) -> str:
    """The first failure with what led to it, and the end; between them is what the machines say about it."""
    first = min((at for word in ("fatal: [", "\nE  ") if (at := said.find(word)) >= 0), default=len(said))
    return f"{said[max(0, first - 3000) : first + 9000]}\n…\n{said[-8000:]}"


def run(scenario: str) -> None:
    """Run it; its own words are shown when it fails."""
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "MOLECULE_COMMAND_BORDERS": "false"}
    command = [tools / "molecule", "test", "--scenario-name", scenario]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{reason(done.stdout)}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("scenario", scenarios("role"))
def test_role(scenario: str) -> None:
    run(scenario)


@pytest.mark.parametrize("scenario", scenarios("flow"))
def test_flow(scenario: str) -> None:
    run(scenario)
