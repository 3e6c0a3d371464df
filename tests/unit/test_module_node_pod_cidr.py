"""The pod range is waited for, and a plan before the node joined knows that it is unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

node_pod_cidr = load("node_pod_cidr")
ApiError = node_pod_cidr.ApiError


class Nodes:
    """An API whose Node object gets its range at the third look."""

    def __init__(self, error: Exception | None = None) -> None:
        self.looks = 0
        self.error = error

    def get(self, _path: str) -> dict[str, Any]:
        self.looks += 1
        if self.error:
            raise self.error
        return {"spec": {"podCIDRs": ["fd00::/64", "10.244.7.0/24"]} if self.looks > 2 else {}}


def test_the_pod_range_is_waited_for() -> None:
    assert node_pod_cidr.wait(Nodes(), "w1", 5) == "10.244.7.0/24"


@pytest.mark.parametrize("error", [ApiError(404, "HTTP 404: not found"), OSError("connection refused")])
def test_a_pod_range_that_does_not_come_has_a_reason(error: Exception) -> None:
    with pytest.raises(TimeoutError, match=f"no pod range for node w1 after 0 s: {error}"):
        node_pod_cidr.wait(Nodes(error), "w1", 0)


def test_before_the_node_joined_the_range_is_a_placeholder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run, nothing = ModuleRunner(monkeypatch, capsys), str(tmp_path / "kubelet.conf")

    assert run(node_pod_cidr, check=True, node="w1", kubeconfig=nothing)["known"] is False
    result = run(node_pod_cidr, node="w1", kubeconfig=nothing)
    assert result["failed"]
    assert nothing in result["msg"]
