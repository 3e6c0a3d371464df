"""Which hosts a run may do without."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision import absence, inventory, workflows
from provision.errors import PreflightRefused

THREE = """
[kube_control_plane]
a ansible_host=10.0.0.1
b ansible_host=10.0.0.2
c ansible_host=10.0.0.3
[etcd:children]
kube_control_plane
[kube_node]
w ansible_host=10.0.0.4
"""


def _check(tmp_path: Path, *without: str) -> None:
    path = tmp_path / "three.ini"
    path.write_text(THREE)
    request = workflows.Request(workflows.WORKFLOWS["cluster"], path, without=without)
    absence.check(inventory.load(path), request)


@pytest.mark.parametrize("without", [(), ("w",), ("a",), ("a", "w")])
def test_a_majority_is_enough(tmp_path: Path, without: tuple[str, ...]) -> None:
    _check(tmp_path, *without)


@pytest.mark.parametrize(("without", "says"), [(("a", "b"), "1 of 3"), (("a", "b", "c"), "no control plane")])
def test_no_majority_is_refused(tmp_path: Path, without: tuple[str, ...], says: str) -> None:
    with pytest.raises(PreflightRefused, match=says):
        _check(tmp_path, *without)


def test_ansible_is_told_to_pass_them_over() -> None:
    assert absence.limit(("a", "b")) == "all:!a:!b"
    assert absence.limit(()) is None
