"""The `probe` action refuses a host on which it cannot become root, however the connection says so."""

from __future__ import annotations

import importlib.util
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleModuleError

from .module_runner import PLUGINS


def probe(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | Exception) -> dict[str, Any]:
    """Run the action; its module gives this answer."""
    spec = importlib.util.spec_from_file_location("provision_action_probe", PLUGINS / "action/probe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def execute(**_: Any) -> dict[str, Any]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    action = module.ActionModule.__new__(module.ActionModule)
    action._task = SimpleNamespace(args={})
    monkeypatch.setattr(action, "_execute_module", execute, raising=False)
    monkeypatch.setattr(module.ActionBase, "run", lambda *_: {})
    result: dict[str, Any] = action.run(task_vars={})
    return result


def test_the_clock_is_compared_with_the_controllers(monkeypatch: pytest.MonkeyPatch) -> None:
    host = probe(monkeypatch, {"host": {"time_epoch": time.time() + 3600}})["host"]
    assert host["clock_skew_s"] == pytest.approx(3600, abs=1)
    assert host["clock_error_s"] < 1


@pytest.mark.parametrize(
    "answer",
    [
        AnsibleModuleError("error occurred on host w1: sudo password is required"),
        {"failed": True, "msg": "Missing sudo password"},
        {"failed": True, "msg": "MODULE FAILURE", "module_stderr": "sudo: a password is required"},
    ],
    ids=["mitogen", "linear", "module"],
)
def test_without_root_the_host_is_refused(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | Exception) -> None:
    result = probe(monkeypatch, answer)
    assert result["failed"] is True
    assert result["provision_problems"][0]["check"] == "root"


def test_another_failure_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleModuleError, match="no space"):
        probe(monkeypatch, AnsibleModuleError("no space left on device"))
    assert "provision_problems" not in probe(monkeypatch, {"failed": True, "msg": "no space left on device"})
