"""Control planes are tainted, or not, as the site says now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("workloads", "done"),
    [(True, ["m1", "node-role.kubernetes.io/control-plane:NoSchedule-"]),
     (False, ["m2", "node-role.kubernetes.io/control-plane:NoSchedule"])],
)  # fmt: skip
@pytest.mark.parametrize("check", [True, False])
def test_only_those_that_differ_are_changed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    workloads: bool,
    done: list[str],
    check: bool,
) -> None:
    module, said = load("control_plane_taints"), []
    other = {"key": "gpu", "effect": "NoSchedule"}
    known: dict[str, Any] = {"m1": {"spec": {"taints": [other, TAINT]}}, "m2": {"spec": {"taints": [other]}}, "w1": {}}
    monkeypatch.setattr(module, "ADMIN", str(tmp_path))
    monkeypatch.setattr(module, "nodes", lambda _server: known)
    monkeypatch.setattr(module, "kubectl", lambda *words, server: said.append(words))

    result = ModuleRunner(monkeypatch, capsys)(
        module, check=check, nodes=["m1", "m2", "m3"], workloads=workloads, address="10.0.0.1"
    )

    assert result["changed"] is True
    assert result["paths"] == [f"taint {' '.join(done)}"]
    assert said == ([] if check else [("taint", "nodes", *done)])


def test_before_the_cluster_is_there_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load("control_plane_taints")
    monkeypatch.setattr(module, "ADMIN", str(tmp_path / "admin.conf"))
    result = ModuleRunner(monkeypatch, capsys)(module, check=True, nodes=["m1"], workloads=True, address="10.0.0.1")
    assert result["changed"] is False
