"""Every Molecule scenario, as `molecule test` runs it by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.passed import ROOT, Passed

SHARED = (
    *("src", "plugins", "group_vars", "groups.yml", "ansible.cfg", "roles/cluster"),
    *(".config/molecule", "molecule/shared", "molecule/conftest.py"),
    *("tests/machines.py", "tests/e2e/site.py", "tests/scenarios"),
)
"""What every scenario runs, beside its own directory and the roles that it names."""
# The longest first: then two that run side by side end at about the same time.
LONGEST = ("role_mirror", "role_load_balancer", "role_control_plane", "role_node", "role_backup")


def scenarios(kind: str) -> list[str]:
    """The names of the scenarios of roles or of workflows."""
    names = [file.parent.name for file in (ROOT / "molecule").glob(f"{kind}_*/molecule.yml")]
    return sorted(names, key=lambda name: (name not in LONGEST, name))


def inputs(scenario: str) -> set[str]:
    """All that the result of a scenario hangs on. A workflow's goes through any role."""
    kind, _, name = scenario.partition("_")
    if kind == "flow":
        return {*SHARED, f"molecule/{scenario}", "roles", "playbooks"}
    settings = yaml.safe_load((ROOT / f"molecule/{scenario}/molecule.yml").read_text())
    own = settings["provisioner"]["inventory"]["group_vars"]["all"]
    roles = {name, *own.get("removed_roles", []), *(role for needed in own.get("needed_roles", []) for role in needed)}
    return {*SHARED, f"molecule/{scenario}", *(f"roles/{role}" for role in roles)}


def reason(said: str) -> str:
    """The task or test that failed first, and the end; between them is what the machines say about it."""
    first = min((at for word in ("fatal: [", "\nE  ") if (at := said.find(word)) >= 0), default=0)
    began = max(said.rfind("\nTASK [", 0, first), said.rfind("\n____", 0, first), first - 3000, 0)
    cut = began + 9000
    return said[began:] if len(said) <= cut + 8000 else f"{said[began:cut]}\n…\n{said[-8000:]}"


def run(scenario: str) -> None:
    """Run it, unless it passed with the same files; its own words are shown when it fails."""
    engine = os.environ.get("MOLECULE_ENGINE", "")
    outcome = Passed(f"{scenario} {engine}", inputs(scenario))
    # Nothing here tells what machines of the operator's own are like now.
    if outcome.reason and engine != "existing":
        pytest.skip(outcome.reason)
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "MOLECULE_COMMAND_BORDERS": "false"}
    command = [tools / "molecule", "test", "--scenario-name", scenario]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{reason(done.stdout)}\n{done.stderr[-4000:]}", pytrace=False)
    outcome.note()


@pytest.mark.parametrize("scenario", scenarios("role"))
def test_role(scenario: str) -> None:
    run(scenario)


@pytest.mark.parametrize("scenario", scenarios("flow"))
def test_flow(scenario: str) -> None:
    run(scenario)
