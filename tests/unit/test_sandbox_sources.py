"""The package sources of the machine, rewritten for a node."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import PreflightRefused
from provision.sandbox.apt_sources import Source, sources_for

_DEB822 = """# the distribution
Types: deb deb-src
URIs: http://mirror.example.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/x.gpg

Types: deb
URIs: http://mirror.example.org/security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://off.example.org/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://other.example.org/node
Suites: nodistro
Components: main
"""
_ONE_LINE = """# deb http://comment.example.org/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example.org/debian bookworm main non-free
deb http://mirror.example.org/security bookworm-security main
deb-src http://mirror.example.org/debian bookworm main
deb http://other.example.org/apt tool-bookworm main
"""


def _etc(tmp_path: Path, name: str, text: str) -> Path:
    file = tmp_path / "apt" / name
    file.parent.mkdir(parents=True)
    file.write_text(text)
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\n')
    return tmp_path


def test_deb822_sources_of_the_distribution_are_rewritten(tmp_path: Path) -> None:
    assert sources_for("trixie", etc=_etc(tmp_path, "sources.list.d/debian.sources", _DEB822)) == [
        Source("http://mirror.example.org/debian", "trixie", ("main",), "/usr/share/keyrings/x.gpg"),
        Source("http://mirror.example.org/debian", "trixie-updates", ("main",), "/usr/share/keyrings/x.gpg"),
        Source("http://mirror.example.org/security", "trixie-security", ("main",)),
    ]


@pytest.mark.parametrize("name", ["sources.list", "sources.list.d/debian.list"])
def test_one_line_sources_of_the_distribution_are_rewritten(name: str, tmp_path: Path) -> None:
    assert sources_for("trixie", etc=_etc(tmp_path, name, _ONE_LINE)) == [
        Source("http://mirror.example.org/debian", "trixie", ("main",), "/k.gpg"),
        Source("http://mirror.example.org/security", "trixie-security", ("main",)),
    ]


def test_a_source_is_written_as_a_paragraph() -> None:
    source = Source("http://mirror.example.org/debian", "trixie", ("main",), "/k.gpg")

    assert source.as_deb822().splitlines() == [
        "Types: deb",
        "URIs: http://mirror.example.org/debian",
        "Suites: trixie",
        "Components: main",
        "Signed-By: /k.gpg",
    ]


def test_a_machine_without_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreflightRefused, match="no package source for bookworm"):
        sources_for("trixie", etc=_etc(tmp_path, "sources.list", ""))
