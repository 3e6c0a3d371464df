"""The word for what shows that a role works on a system follows from what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision import support
from provision.paths import project_root
from provision.support import System

NODES = System("debian", "13", ("debian",))
UBUNTU = System("debian", "24.04", ("ubuntu",))
RHEL = System("redhat", "9", ("rhel", "rocky"))
ASKS_FAMILY = {"roles/x/defaults/main.yml": "__x: '{{ cluster_host.os_family }}'"}
ASKS_RELEASE = {"roles/x/vars/main.yml": "__x: '{{ __x_host.os_id }}-{{ __x_host.os_version }}'"}


def test_those_that_share_a_family_and_a_number_are_one_column() -> None:
    assert System("redhat", "9", ("rhel", "rocky", "almalinux")) in support.systems(project_root())
    assert {NODES, UBUNTU} < set(support.systems(project_root()))


@pytest.mark.parametrize(
    ("files", "system", "word"),
    [
        ({}, NODES, "-"),
        ({"molecule/role_x/molecule.yml": ""}, NODES, "run"),
        ({"molecule/role_x/molecule.yml": ""}, UBUNTU, "-"),
        (
            {
                "molecule/role_x/molecule.yml": "",
                "tests/vm/converge.yml": "- {tasks: [{ansible.builtin.import_role: {name: x}}]}",
            },
            NODES,
            "run, vm",
        ),
        ({"tests/render/expected/x.txt": ""}, RHEL, "rendered"),
        ({"tests/render/expected/x.txt": "", **ASKS_FAMILY}, RHEL, "-"),
        ({"tests/render/test_x.py": "x('redhat')", **ASKS_FAMILY}, RHEL, "rendered"),
        ({"tests/render/test_x.py": "x('debian')", **ASKS_FAMILY}, RHEL, "-"),
        ({"tests/render/test_x.py": "x('ubuntu', '24.04')", **ASKS_RELEASE}, UBUNTU, "rendered"),
        ({"tests/render/test_x.py": "x('ubuntu', '22.04')", **ASKS_RELEASE}, UBUNTU, "-"),
        ({"roles/x/vars/main.yml": "__x: {redhat: 1}"}, RHEL, "declared"),
        ({"roles/x/meta/main.yml": "galaxy_info: {platforms: [{name: EL, versions: ['9']}]}"}, RHEL, "declared"),
        (
            {"roles/x/meta/main.yml": "galaxy_info: {platforms: [{name: Ubuntu, versions: [noble]}]}"},
            UBUNTU,
            "declared",
        ),
        ({"roles/x/meta/main.yml": "galaxy_info: {platforms: [{name: Ubuntu, versions: [jammy]}]}"}, UBUNTU, "-"),
    ],
)
def test_the_word_is_that_of_the_most_there_is(
    files: dict[str, str], system: System, word: str, tmp_path: Path
) -> None:
    for name, text in {"tests/vm/converge.yml": "[]", **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert support.evidence(tmp_path, "x", system) == word
