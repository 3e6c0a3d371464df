"""Names and texts keep their contract, and every rule of it can fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.contract.rules import Rule, layout

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("rule", layout.RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps(rule: Rule) -> None:
    breaches = list(rule(ROOT))
    assert not breaches, "\n".join(breaches)


BREAKS: tuple[tuple[Rule, str, str, str], ...] = (
    (layout.no_registry_is_named, "docs/x.md", "deb.DEBIAN.org".lower(), "docs/x.md:1 names "),
    (layout.no_registry_is_named, "docs/x.md", "\n/WORK/main/x".lower(), "docs/x.md:2 names "),
    (layout.workflows_share_a_stem, "playbooks/stray.yml", "", "playbooks/stray.yml: has no command"),
    (layout.workflows_share_a_stem, "docs/how-to/cluster.md", "", "cluster: has no how-to"),
    (layout.commands_have_a_how_to, "docs/how-to/explain.md", "", "provision explain: has no docs"),
    (layout.roles_are_complete, "roles/stray/tasks/main.yml", "", "stray: no playbook calls it"),
    (layout.plays_end_together, "playbooks/x.yml", "- hosts: all", "gathers facts"),
    (layout.plays_end_together, "playbooks/x.yml", "- {hosts: all, any_errors_fatal: '{{ x }}'}", "is a template"),
    (layout.documented_commands_parse, "docs/x.md", "```\n$ provision clutser -i x\n```", "no command clutser"),
    (layout.documented_commands_parse, "docs/x.md", "```\nprovision cluster -i x --speed\n```", "--speed"),
    (layout.documented_commands_parse, "docs/x.md", "```\ncd x && provision runs show --nothing\n```", "--nothing"),
    (layout.documents_link_to_what_exists, "docs/x.md", "[x](y.md)", "links to y.md"),
    (layout.scripts_are_small, "scripts/long", "\n" * 121, "121 lines"),
)


@pytest.mark.parametrize(
    ("rule", "file", "text", "says"), BREAKS, ids=[f"{rule.__name__}-{says}" for rule, *_, says in BREAKS]
)
def test_a_breach_is_found(rule: Rule, file: str, text: str, says: str, tmp_path: Path) -> None:
    for part in ("docs", "playbooks", "roles", "scripts"):
        shutil.copytree(ROOT / part, tmp_path / part)
    path = tmp_path / file
    if text or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    else:
        path.unlink()

    assert any(says in line for line in rule(tmp_path))


@pytest.mark.parametrize("text", ["cluster -i x --yes", "--version", "sandbox up --help", "runs list"])
def test_good_command_lines_are_taken(text: str) -> None:
    assert layout.parse_problem(text.split()) == ""
