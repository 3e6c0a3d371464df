"""Labels and taints: only what the site once set is ever taken away."""

from __future__ import annotations

import json
from typing import Any

from .module_runner import load

settings = load("node_settings")
CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def node(
    labels: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
    managed: dict[str, list[str]] | None = None,
) -> dict[str, Any]:
    annotations = {settings.NOTE: json.dumps(managed)} if managed else {}
    meta = {
        "name": "w1",
        "labels": {"kubernetes.io/os": "linux", **(labels or {})},
        "annotations": annotations,
        "resourceVersion": "7",
    }
    return {"metadata": meta, "spec": {"taints": taints} if taints else {}}


def wanted(labels: dict[str, Any] | None = None, taints: list[dict[str, str]] | None = None) -> dict[str, Any]:
    return {"name": "w1", "address": "10.0.0.1", "labels": labels or {}, "taints": taints or []}


def after(found: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The node as the API server has it after a merge patch."""
    meta = found["metadata"]
    merged = {
        key: value
        for key, value in {**meta["labels"], **patch["metadata"].get("labels", {})}.items()
        if value is not None
    }
    notes = {**meta["annotations"], **patch["metadata"].get("annotations", {})}
    kept = {key: value for key, value in notes.items() if value is not None}
    return {
        "metadata": {**meta, "labels": merged, "annotations": kept},
        "spec": {**found["spec"], **patch.get("spec", {})},
    }


def test_a_node_without_wishes_is_left_alone() -> None:
    assert settings.difference(node(taints=[CONTROL_PLANE]), wanted()) is None


def test_what_is_set_is_noted_and_then_quiet() -> None:
    found = node(taints=[CONTROL_PLANE])
    patch = settings.difference(found, wanted({"disk": "ssd", "rank": 1}, [GPU]))
    assert patch["metadata"]["labels"] == {"disk": "ssd", "rank": "1"}
    assert patch["spec"]["taints"] == [CONTROL_PLANE, GPU]
    assert patch["metadata"]["resourceVersion"] == "7"
    assert settings.difference(after(found, patch), wanted({"disk": "ssd", "rank": 1}, [GPU])) is None


def test_what_is_no_longer_wanted_goes_and_the_rest_stays() -> None:
    found = node({"disk": "ssd", "own": "x"}, [CONTROL_PLANE, GPU], {"labels": ["disk"], "taints": ["gpu:NoSchedule"]})
    patch = settings.difference(found, wanted())
    assert patch["metadata"]["labels"] == {"disk": None}
    assert patch["spec"]["taints"] == [CONTROL_PLANE]
    assert settings.difference(after(found, patch), wanted()) is None


def test_a_changed_value_replaces_the_taint() -> None:
    found = node(taints=[GPU], managed={"taints": ["gpu:NoSchedule"]})
    patch = settings.difference(found, wanted(taints=[{**GPU, "value": "a100"}]))
    assert patch["spec"]["taints"] == [{**GPU, "value": "a100"}]
    assert "annotations" not in patch["metadata"]


def test_a_label_patch_needs_no_version() -> None:
    patch = settings.difference(node(), wanted({"a": "b"}))
    assert "resourceVersion" not in patch["metadata"]


def test_the_diff_shows_what_changes_and_no_more() -> None:
    found = node({"disk": "ssd"}, [CONTROL_PLANE, GPU], {"labels": ["disk"], "taints": ["gpu:NoSchedule"]})
    shown = settings.shown(found, settings.difference(found, wanted({"rack": "r1"})))
    assert shown["before"].splitlines()[0] == "label disk=ssd"
    assert shown["after"] == "label rack=r1\ntaint node-role.kubernetes.io/control-plane=:NoSchedule\n"
