"""The generated pages are what the code says now."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision import reference

DOCS = Path(__file__).parents[2] / "docs/reference"


@pytest.mark.parametrize("name", ["command-line.md", "exit-codes.md", "support.md", "variables.md", "versions.md"])
def test_the_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == reference.pages()[name], "run scripts/reference"


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    assert set(reference.write(tmp_path)) == set(reference.pages())
    (tmp_path / "versions.md").write_text("old")

    assert reference.write(tmp_path) == ("versions.md",)


def test_every_command_is_described() -> None:
    page = reference.pages()["command-line.md"]
    for command in (
        "cluster",
        "preflight",
        "validate",
        "status",
        "explain",
        "runs show",
        "sandbox ssh",
        "bundle create",
    ):
        assert f"## provision {command}\n" in page
    assert "--inventory, -i SITE" in page
