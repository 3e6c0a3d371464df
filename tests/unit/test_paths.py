from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provision import paths


def test_project_root_is_the_checkout() -> None:
    assert (paths.project_root() / "groups.yml").is_file()
    assert paths.groups_file().parent == paths.project_root()
    assert paths.playbook("node_add").name == "node_add.yml"


@pytest.mark.parametrize(
    ("home", "own", "xdg", "default"),
    [
        (paths.state_home, "PROVISION_STATE_DIR", "XDG_STATE_HOME", ".local/state/provision"),
        (paths.cache_home, "PROVISION_CACHE_DIR", "XDG_CACHE_HOME", ".cache/provision"),
    ],
)
def test_homes(
    home: Callable[[], Path], own: str, xdg: str, default: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(own, raising=False)
    monkeypatch.delenv(xdg, raising=False)
    assert home() == tmp_path / default
    monkeypatch.setenv(xdg, str(tmp_path / "xdg"))
    assert home() == tmp_path / "xdg" / "provision"
    monkeypatch.setenv(own, str(tmp_path / "own"))
    assert home() == tmp_path / "own"
