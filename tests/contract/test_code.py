"""The package and the plugins keep their contract, and every rule of it can fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.contract.rules import Rule, code

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("rule", code.RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps(rule: Rule) -> None:
    breaches = list(rule(ROOT))
    assert not breaches, "\n".join(breaches)


BREAKS: tuple[tuple[Rule, str, str, str], ...] = (
    (code.imports_have_no_cycles, "src/provision/errors.py", "\nfrom provision import runner\n", "errors -> runner"),
    (
        code.imports_point_downwards,
        "src/provision/paths.py",
        "\ndef f():\n    from provision import cli\n",
        "paths imports",
    ),
    (code.imports_point_downwards, "src/provision/render.py", "\nfrom provision import workflows\n", "render imports"),
    (code.modules_import_alone, "src/provision/fresh.py", "import nowhere\n", "provision.fresh: ModuleNotFoundError"),
    (code.only_one_module_prints, "src/provision/paths.py", "\nprint('x')\n", "prints with print"),
    (
        code.only_one_module_runs_ansible,
        "src/provision/paths.py",
        "\nimport ansible_runner.interface\n",
        "imports ansible_runner",
    ),
    (code.modules_have_tests, "plugins/modules/untested.py", "", "untested.py has no"),
    (code.python_files_are_small, "src/provision/long.py", "\n" * 401, "has 401 lines"),
    (
        code.modules_leave_their_process_alone,
        "plugins/module_utils/atomic.py",
        "\nos.umask(0)\n",
        "changes its process: os.umask",
    ),
)


@pytest.mark.parametrize(("rule", "file", "text", "says"), BREAKS, ids=[says for *_, says in BREAKS])
def test_a_breach_is_found(rule: Rule, file: str, text: str, says: str, tmp_path: Path) -> None:
    unwanted = shutil.ignore_patterns("__pycache__")
    for part in ("src", "plugins", "tests/unit"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=unwanted)
    for part in ("groups.yml", "group_vars", "playbooks", "roles"):
        (tmp_path / part).symlink_to(ROOT / part)
    path = tmp_path / file

    path.write_text((path.read_text() if path.exists() else "") + text)

    assert any(says in line for line in rule(tmp_path))
