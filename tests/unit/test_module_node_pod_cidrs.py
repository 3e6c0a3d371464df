"""The pod ranges are waited for, and a plan before a node joined has a placeholder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .module_runner import Clock, ModuleRunner, load

node_pod_cidrs = load("node_pod_cidrs")
ApiError = node_pod_cidrs.ApiError


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, node_pod_cidrs)


class Nodes:
    """An API that knows w1, whose Node object gets its range at the third look."""

    def __init__(self, error: Exception | None = None) -> None:
        self.looks = 0
        self.error = error

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/api/v1/nodes"
        self.looks += 1
        if self.error:
            raise self.error
        spec = {"podCIDRs": ["fd00::/64", "10.244.7.0/24"]} if self.looks > 2 else {}
        return {"items": [{"metadata": {"name": "w1"}, "spec": spec}]}


def test_the_pod_ranges_are_waited_for() -> None:
    assert node_pod_cidrs.wait(Nodes(), ["w1"], 5) == {"w1": "10.244.7.0/24"}


def test_a_node_that_does_not_join_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"no pod range for node w2 after 0\.3 s: the controller manager"):
        node_pod_cidrs.wait(Nodes(), ["w1", "w2"], 0.3)


@pytest.mark.parametrize("error", [ApiError(404, "HTTP 404: not found"), OSError("connection refused")])
def test_a_pod_range_that_does_not_come_has_a_reason(error: Exception) -> None:
    with pytest.raises(TimeoutError, match=f"no pod range for node w1 after 0 s: {error}"):
        node_pod_cidrs.wait(Nodes(error), ["w1"], 0)


def test_before_a_node_joined_its_range_is_a_placeholder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run, kubeconfig = ModuleRunner(monkeypatch, capsys), tmp_path / "admin.conf"

    before = run(node_pod_cidrs, check=True, nodes=["w1", "w2"], kubeconfig=str(kubeconfig))
    assert set(before["pod_cidrs"].values()) == {node_pod_cidrs.PLACEHOLDER}
    result = run(node_pod_cidrs, nodes=["w1"], kubeconfig=str(kubeconfig))
    assert result["failed"]
    assert str(kubeconfig) in result["msg"]

    known = Nodes()
    known.looks = 2
    kubeconfig.touch()
    monkeypatch.setattr(node_pod_cidrs, "KubeClient", lambda _path: known)
    planned = run(node_pod_cidrs, check=True, nodes=["w1", "w2"], kubeconfig=str(kubeconfig))
    assert planned["pod_cidrs"] == {"w1": "10.244.7.0/24", "w2": node_pod_cidrs.PLACEHOLDER}
