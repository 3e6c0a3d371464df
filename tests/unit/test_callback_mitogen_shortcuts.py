"""Mitogen's scanner finds the same with a memory as without, and our modules run in the process that is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import ansible.module_utils
import pytest
from ansible_mitogen import module_finder, planner

from tests.unit.module_runner import PLUGINS

SEARCH = (str(PLUGINS / "module_utils"), str(Path(ansible.module_utils.__path__[0])))


@pytest.fixture
def plugin() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("shortcuts", PLUGINS / "callback" / "mitogen_shortcuts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    walk, should_fork = module_finder.walk_imports, planner.NewStylePlanner.should_fork
    yield module
    planner.NewStylePlanner.should_fork = should_fork
    module_finder.walk_imports = walk
    vars(module_finder).pop("compile", None)


def scan(name: str) -> list[tuple[str, str, bool]]:
    found: list[tuple[str, str, bool]] = module_finder.scan(name, str(PLUGINS / "modules" / f"{name}.py"), SEARCH)
    return found


def test_a_scan_finds_the_same(plugin: ModuleType) -> None:
    before = {name: scan(name) for name in ("files", "unit")}
    plugin.take()
    assert {name: scan(name) for name in ("files", "unit")} == before
    assert any("atomic" in name for name, _, _ in before["files"])


def test_a_file_is_compiled_once(plugin: ModuleType) -> None:
    plugin.take()
    scan("files")
    compiled = module_finder.compile.cache_info().misses
    scan("artifact")
    assert module_finder.compile.cache_info().misses == compiled + 1


def planned(module: str = "files", **call: Any) -> Any:
    """What Mitogen plans for one call of a module of ours, which imports a helper of ours."""
    task = SimpleNamespace(delegate_to=call.pop("delegate_to", None), run_once=call.pop("run_once", False))
    found = planner.NewStylePlanner.__new__(planner.NewStylePlanner)
    found._inv = SimpleNamespace(
        **{"wrap_async": False, "task_vars": {}, **call}, module_name=module, action=SimpleNamespace(_task=task)
    )
    found._module_map = {"custom": [("ansible.module_utils.atomic", "atomic.py", False)], "builtin": []}
    return found


def test_mitogen_itself_would_take_a_new_process_for_each_call() -> None:
    assert planned().should_fork()


def test_our_modules_run_in_the_process_that_is_there(plugin: ModuleType) -> None:
    plugin.take()
    assert not planned().should_fork()
    assert not planned(delegate_to="cp1", run_once=True).should_fork()


@pytest.mark.parametrize(
    "call",
    [
        {"delegate_to": "cp1"},
        {"wrap_async": True},
        {"task_vars": {"mitogen_task_isolation": "fork"}},
        {"module": min(planner.NewStylePlanner.ALWAYS_FORK_MODULES)},
    ],
    ids=str,
)
def test_what_may_not_share_a_process_gets_its_own(plugin: ModuleType, call: dict[str, Any]) -> None:
    plugin.take()
    assert planned(**call).should_fork()
