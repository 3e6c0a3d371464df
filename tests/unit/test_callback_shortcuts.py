"""Ansible and Mitogen make the same with a memory as without, and our modules run in the process that is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import ansible.module_utils
import pytest
from ansible._internal._templating._jinja_bits import AnsibleEnvironment
from ansible.errors import AnsibleTemplateSyntaxError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_mitogen import module_finder, planner
from mitogen import minify

from provision.memory import Memory
from tests.unit.module_runner import PLUGINS

SEARCH = (str(PLUGINS / "module_utils"), str(Path(ansible.module_utils.__path__[0])))


class Counted(Memory):
    """A memory that counts what had to be made."""

    made = 0

    def recall(self, make: Callable[[], Any], *parts: str | bytes) -> Any:
        def counting() -> Any:
            self.made += 1
            return make()

        return super().recall(counting, *parts)


@pytest.fixture
def plugin() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("shortcuts", PLUGINS / "callback" / "shortcuts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    walk, should_fork = module_finder.walk_imports, planner.NewStylePlanner.should_fork
    minimize = minify.minimize_source
    yield module
    planner.NewStylePlanner.should_fork = should_fork
    module_finder.walk_imports = walk
    minify.minimize_source = minimize
    vars(module_finder).pop("compile", None)
    if "compile" in vars(AnsibleEnvironment):
        del AnsibleEnvironment.compile


@pytest.fixture
def memory(tmp_path: Path) -> Counted:
    return Counted(tmp_path / "memory")


def scan(name: str) -> list[tuple[str, str, bool]]:
    found: list[tuple[str, str, bool]] = module_finder.scan(name, str(PLUGINS / "modules" / f"{name}.py"), SEARCH)
    return found


def test_a_scan_finds_the_same(plugin: ModuleType, memory: Counted) -> None:
    before = {name: scan(name) for name in ("files", "unit")}
    plugin.take(memory)
    assert {name: scan(name) for name in ("files", "unit")} == before
    assert any("atomic" in name for name, _, _ in before["files"])


def test_a_file_is_compiled_once(plugin: ModuleType, memory: Counted) -> None:
    plugin.take(memory)
    scan("files")
    compiled = memory.made
    scan("artifact")
    assert memory.made == compiled + 1


def test_what_is_sent_is_made_small_once(plugin: ModuleType, memory: Counted) -> None:
    source = b"def x():\n    # said\n    return 1\n"
    plain = minify.minimize_source(source)
    plugin.take(memory)
    assert [minify.minimize_source(source), minify.minimize_source(source)] == [plain, plain]
    assert memory.made == 1


TEMPLATE = "{% if shown %}\n{{ 'a' | upper }} {{ path }}\n{% endif %}\n"


def rendered(template: str, **overrides: Any) -> Any:
    variables = {"shown": True, "path": "C:\\new"}
    templar = Templar(loader=DataLoader(), variables=variables)
    return templar.template(trust_as_template(template), overrides=overrides or None)


def test_a_template_gives_the_same_and_is_compiled_once(plugin: ModuleType, tmp_path: Path) -> None:
    plain = rendered(TEMPLATE)
    for made in (1, 0):
        memory = Counted(tmp_path / "memory")
        plugin.take(memory)
        assert [rendered(TEMPLATE), rendered(TEMPLATE)] == [plain, plain]
        assert memory.made == made
        del AnsibleEnvironment.compile


def test_what_changes_a_template_is_compiled_apart(plugin: ModuleType, memory: Counted) -> None:
    plain = [rendered(TEMPLATE), rendered(TEMPLATE, trim_blocks=False), rendered("{{ path }}")]
    plugin.take(memory)
    assert [rendered(TEMPLATE), rendered(TEMPLATE, trim_blocks=False), rendered("{{ path }}")] == plain
    assert memory.made == 3


def test_a_broken_template_says_so_each_time(plugin: ModuleType, memory: Counted) -> None:
    plugin.take(memory)
    for _ in range(2):
        with pytest.raises(AnsibleTemplateSyntaxError, match="expected token"):
            rendered("{{ path | }}")


def planned(module: str = "files", **call: Any) -> Any:
    """What Mitogen plans for one call of a module of ours, which imports a helper of ours."""
    task = SimpleNamespace(delegate_to=call.pop("delegate_to", None), run_once=call.pop("run_once", False))
    found = planner.NewStylePlanner.__new__(planner.NewStylePlanner)
    found._inv = SimpleNamespace(
        **{"wrap_async": False, "task_vars": {"inventory_hostname": "cp1"}, **call},
        module_name=module,
        action=SimpleNamespace(_task=task),
    )
    found._module_map = {"custom": [("ansible.module_utils.atomic", "atomic.py", False)], "builtin": []}
    return found


def test_mitogen_itself_would_take_a_new_process_for_each_call() -> None:
    assert planned().should_fork()


def test_our_modules_run_in_the_process_that_is_there(plugin: ModuleType, memory: Counted) -> None:
    plugin.take(memory)
    assert not planned().should_fork()
    assert not planned(delegate_to="cp2", run_once=True).should_fork()
    assert not planned(delegate_to="cp1").should_fork()


@pytest.mark.parametrize(
    "call",
    [
        {"delegate_to": "cp2"},
        {"wrap_async": True},
        {"task_vars": {"mitogen_task_isolation": "fork"}},
        {"module": min(planner.NewStylePlanner.ALWAYS_FORK_MODULES)},
    ],
    ids=str,
)
def test_what_may_not_share_a_process_gets_its_own(plugin: ModuleType, memory: Counted, call: dict[str, Any]) -> None:
    plugin.take(memory)
    assert planned(**call).should_fork()
