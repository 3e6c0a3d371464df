"""Which nodes may not leave: what etcd, the API and people's data need."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.module_runner import load

departure = load("node_departure")


@pytest.mark.parametrize(
    ("members", "healthy", "leaving", "refused"),
    [
        ("abc", "abc", "a", False),
        ("abc", "bc", "a", False),  # the one that leaves is dead
        ("abc", "ab", "a", True),  # another one is dead: one of two would be left
        ("abc", "a", "b", True),  # no majority even now
        ("ab", "ab", "b", False),
        ("ab", "a", "b", True),  # etcd of two with one dead cannot even decide that it leaves
        ("abcde", "abc", "d", False),
        ("abcde", "abc", "ab", True),
        ("abc", "abc", "x", False),  # no member leaves
    ],
)
def test_etcd_keeps_its_majority(members: str, healthy: str, leaving: str, refused: bool) -> None:
    found = list(departure.quorum(set(members), set(healthy), set(leaving)))
    assert bool(found) is refused
    assert all(problem["check"] == "quorum" and problem["hint"] for problem in found)


@pytest.mark.parametrize(
    ("members", "leaving", "warned"),
    [("abc", "a", True), ("abcd", "a", False), ("abcd", "x", False), ("ab", "b", False)],
)
def test_an_even_number_is_worth_a_word(members: str, leaving: str, warned: bool) -> None:
    assert bool(list(departure.parity(set(members), set(leaving)))) is warned


def _volume(node: str, phase: str = "Bound") -> dict[str, Any]:
    rule = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "metadata": {"name": f"on-{node}"},
        "spec": {
            "claimRef": {"namespace": "shop", "name": "orders"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}},
        },
        "status": {"phase": phase},
    }


def test_data_on_the_nodes_own_disk_is_named_with_its_owner() -> None:
    found = list(departure.storage([_volume("w1"), _volume("w2"), _volume("w1", "Released")], [], ["w1"]))
    assert len(found) == 1
    assert "shop/orders" in found[0]["message"]
    assert "--force" in found[0]["hint"]


def test_a_part_of_ceph_is_data_too() -> None:
    pod = {"metadata": {"name": "osd-3", "labels": {"app": "rook-ceph-osd"}}, "spec": {"nodeName": "w1"}}
    other = {"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"nodeName": "w1"}}
    assert [problem["check"] for problem in departure.storage([], [pod, other], ["w1"])] == ["storage"]


def test_a_volume_that_can_move_is_no_obstacle() -> None:
    free = {"metadata": {"name": "nfs"}, "spec": {"claimRef": {"namespace": "a", "name": "b"}}}
    assert list(departure.storage([free], [], ["w1"])) == []
