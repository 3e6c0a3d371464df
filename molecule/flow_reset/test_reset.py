"""Nothing of the cluster is left on the machines, but a last backup on the operator's."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from provision import backups
from tests.e2e.site import provision
from tests.e2e.test_reset import HARMLESS, OWNED, PACKAGES
from tests.machines import Machines

SNAPSHOT = Path(__file__).parents[1] / "shared/snapshot"
STAYS = re.compile(f"{PACKAGES}|{HARMLESS}| /var/log/(apt|chrony|haproxy)")


@pytest.mark.parametrize("name", ["cp1", "w1"])
def test_nothing_of_the_cluster_is_left(machines: Machines, name: str) -> None:
    owned = set(machines.run(name, OWNED).splitlines())
    changes = machines[name].run(f"bash -s compare <<'END'\n{SNAPSHOT.read_text()}\nEND").stdout.splitlines()
    assert any(changes), "packages have come at least"
    left = [line for line in filter(None, changes) if not STAYS.search(line) and owned.isdisjoint(line.split())]
    assert not left, "\n".join(left)


@pytest.mark.parametrize("name", ["cp1", "w1"])
def test_the_kernel_holds_nothing_of_it(machines: Machines, name: str) -> None:
    assert machines.run(name, "nft list tables").strip() == ""
    assert machines.run(name, "grep -E ' /var/lib/kubelet/|/run/containerd' /proc/mounts || true").strip() == ""


def test_there_is_a_last_backup(machines: Machines) -> None:
    place = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "backups"
    backups.read(next(backups.known(str(machines.site.setting("cluster_name")), place))).verify()


def test_a_second_reset_has_nothing_to_do(machines: Machines) -> None:
    name = str(machines.site.setting("cluster_name"))
    again = provision("reset", "--no-backup", "--yes", name, "-i", machines.site.path)
    assert (again.code, again.changes) == (0, []), again.text
