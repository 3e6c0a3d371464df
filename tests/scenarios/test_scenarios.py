"""Every Molecule scenario, as `molecule test` runs it by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted(file.parent.name for file in (ROOT / "molecule").glob("*/molecule.yml"))
# The longest first: then two that run side by side end at about the same time.
LONGEST = ("role_dns", "role_network", "role_node", "role_control_plane")


@pytest.mark.parametrize("scenario", sorted(SCENARIOS, key=lambda name: (name not in LONGEST, name)))
def test_scenario(scenario: str) -> None:
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "MOLECULE_COMMAND_BORDERS": "false"}
    command = [tools / "molecule", "test", "--scenario-name", scenario]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-20000:]}\n{done.stderr[-4000:]}"
