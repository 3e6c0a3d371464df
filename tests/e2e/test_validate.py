"""A site with a mistake ends with exit 3 before any machine is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.site import ROOT, provision

FIXTURES = ROOT / "tests/fixtures/sites"
GOOD = {"good.ini", "kubespray.ini"}


@pytest.mark.parametrize("file", sorted(file.name for file in FIXTURES.iterdir() if file.name not in GOOD))
def test_a_mistake_touches_no_machine(file: str, tmp_path: Path) -> None:
    called = tmp_path / "called"
    for name in ("ssh", "scp", "sftp"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {called}\nexit 255\n')
        program.chmod(0o755)

    done = provision(
        *("cluster", "--yes", "-i", FIXTURES / file), environment={"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    )

    assert done.code == 3, done.text
    error = done.document["error"]
    assert error["message"]
    assert Path(error["file"]).name == file
    assert not called.exists(), called.read_text()
