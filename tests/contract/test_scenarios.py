"""Molecule's scenarios keep their contract, and every rule of it can fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.contract.rules import Rule, scenarios

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("rule", scenarios.RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps(rule: Rule) -> None:
    breaches = list(rule(ROOT))
    assert not breaches, "\n".join(breaches)


BREAKS: tuple[tuple[Rule, str, str, str], ...] = (
    (scenarios.roles_have_a_scenario, "roles/stray/tasks/main.yml", "---", "stray: has no molecule/role_stray"),
    (scenarios.roles_have_a_scenario, "molecule/role_stray/molecule.yml", "---", "there is no such role"),
    (scenarios.workflows_have_a_scenario, "molecule/flow_cluster/molecule.yml", "", "cluster: has no molecule/flow"),
    (scenarios.scenarios_are_complete, "molecule/role_etcd/site.ini", "", "has no site.ini"),
    (scenarios.scenarios_are_complete, "molecule/role_etcd/test_etcd.py", "", "checks next to nothing"),
    (scenarios.scenarios_are_complete, "molecule/role_dns/test_dns.py", "\ndef test_x()", "no input of the role"),
    (scenarios.molecule_can_read_them, "molecule/role_dns/molecule.yml", 'x: "y$"', "role_dns/molecule.yml: Invalid"),
    (
        scenarios.roles_are_removed,
        "molecule/role_etcd/molecule.yml",
        "provisioner: {inventory: {group_vars: {all: {removed_roles: []}}}}",
        "role_etcd: does not remove",
    ),
    (
        scenarios.scenarios_have_a_network_of_their_own,
        "molecule/role_dns/site.ini",
        "[tested]\nx ip=10.80.16.9",
        "is the network of",
    ),
    (scenarios.scenarios_are_small, "molecule/role_dns/x.yml", "\n" * 31, "31 lines"),
)


@pytest.mark.parametrize(
    ("rule", "file", "text", "says"), BREAKS, ids=[f"{rule.__name__}-{says}" for rule, *_, says in BREAKS]
)
def test_a_breach_is_found(rule: Rule, file: str, text: str, says: str, tmp_path: Path) -> None:
    for part in ("molecule", "roles"):
        shutil.copytree(ROOT / part, tmp_path / part)
    path = tmp_path / file
    if text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    else:
        path.unlink()

    assert any(says in line for line in rule(tmp_path))
