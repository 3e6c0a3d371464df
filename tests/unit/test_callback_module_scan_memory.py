"""Mitogen's scanner finds the same with a memory as without, and reads each file once."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import ansible.module_utils
import pytest
from ansible_mitogen import module_finder

from tests.unit.module_runner import PLUGINS

SEARCH = (str(PLUGINS / "module_utils"), str(Path(ansible.module_utils.__path__[0])))


@pytest.fixture
def plugin() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("memory", PLUGINS / "callback" / "module_scan_memory.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    walk = module_finder.walk_imports
    yield module
    module_finder.walk_imports = walk
    vars(module_finder).pop("compile", None)


def scan(name: str) -> list[tuple[str, str, bool]]:
    found: list[tuple[str, str, bool]] = module_finder.scan(name, str(PLUGINS / "modules" / f"{name}.py"), SEARCH)
    return found


def test_a_scan_finds_the_same(plugin: ModuleType) -> None:
    before = {name: scan(name) for name in ("files", "unit")}
    plugin.remember_scans()
    assert {name: scan(name) for name in ("files", "unit")} == before
    assert any("atomic" in name for name, _, _ in before["files"])


def test_a_file_is_compiled_once(plugin: ModuleType) -> None:
    plugin.remember_scans()
    scan("files")
    compiled = module_finder.compile.cache_info().misses
    scan("artifact")
    assert module_finder.compile.cache_info().misses == compiled + 1
