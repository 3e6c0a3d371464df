"""Runs one of the project's modules as a node would: its own main(), real files, the result as JSON."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils import basic

PLUGINS = Path(__file__).parents[2] / "plugins"
if str(PLUGINS / "module_utils") not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(str(PLUGINS / "module_utils"))


def load(name: str) -> ModuleType:
    """Import the module `name` from plugins/modules afresh."""
    spec = importlib.util.spec_from_file_location(f"provision_module_{name}", PLUGINS / "modules" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class ModuleRunner:
    """Calls modules and returns their results; `check` is Ansible's check mode."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, module: ModuleType | str, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        """Run the module with `arguments`."""
        loaded = load(module) if isinstance(module, str) else module
        payload = {"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}}
        self._monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps(payload).encode())
        self._monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy")
        self._capsys.readouterr()
        with pytest.raises(SystemExit):
            loaded.main()
        result: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return result


class Clock:
    """Stands for `time` in modules: who pauses goes on at once, and finds that the time has passed all the same."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        self.slept = 0.0
        self._looks = 0
        self._lock = threading.Lock()
        for module in modules:
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        """The seconds that were slept so far. Who never pauses would look at it for ever, so that ends as well."""
        self._looks += 1
        assert self._looks < 1000, "the time is looked at again and again, and never passes"
        return self.slept

    def sleep(self, seconds: float) -> None:
        """Let the time pass; those who pause at the same time, in threads, do so one after the other."""
        with self._lock:
            self.slept += seconds


class Tools:
    """Stand-ins for a node's programs, first on PATH: each writes down its call, then runs its script."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory / "tools"
        self.directory.mkdir()
        self._calls = directory / "calls"
        monkeypatch.setenv("PATH", f"{self.directory}:/usr/bin:/bin")

    def add(self, name: str, script: str = "") -> None:
        """Make the program `name` of the shell text `script`."""
        program = self.directory / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self._calls}\n{script}\n')
        program.chmod(0o755)

    def calls(self) -> list[str]:
        """What was called so far, one line each, oldest first."""
        return self._calls.read_text().splitlines() if self._calls.exists() else []
