"""Data that a drill has set aside is given up only when the restore has worked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from provision import inventory
from provision.drills import power
from provision.drills.catalog import DRILLS
from provision.drills.plays import Plays
from provision.errors import ProvisionError

from .sites import write_site


class _Plays:
    """Notes what is asked; `failing` is the part that fails."""

    def __init__(self, failing: str = "") -> None:
        self.failing, self.asked = failing, list[str]()

    def drill(self, phase: str, **_inputs: Any) -> SimpleNamespace:
        self.asked.append(phase)
        if phase == self.failing:
            raise ProvisionError(f"{phase} failed")
        return SimpleNamespace(began=1.0)

    def run(self, stem: str, **_inputs: Any) -> SimpleNamespace:
        self.asked.append(stem)
        return SimpleNamespace(error=ProvisionError(f"{stem} failed") if stem == self.failing else None)


def injured(tmp_path: Path, plays: _Plays) -> power.Fault:
    site = inventory.load(write_site(tmp_path))
    fault = power.fault_of(site, DRILLS["etcd-majority-restore"], site.etcd_members, cast("Plays", plays))
    fault.inject()
    return fault


def test_before_the_restore_the_data_is_put_back(tmp_path: Path) -> None:
    plays = _Plays()
    injured(tmp_path, plays).heal()
    assert plays.asked == ["inject", "heal"]


@pytest.mark.parametrize("failing", ["disarm", "restore"])
def test_a_restore_that_fails_leaves_the_data_aside(tmp_path: Path, failing: str) -> None:
    plays = _Plays(failing)
    fault = injured(tmp_path, plays)
    with pytest.raises(ProvisionError, match=rf"{failing} failed; the data from before is in /var/lib/etcd\.drill"):
        fault.repair()
    fault.heal()
    assert "heal" not in plays.asked


def test_after_a_restore_what_was_kept_goes(tmp_path: Path) -> None:
    plays = _Plays()
    fault = injured(tmp_path, plays)
    fault.repair()
    fault.heal()
    assert plays.asked == ["inject", "disarm", "restore", "heal"]
