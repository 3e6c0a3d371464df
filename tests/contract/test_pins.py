"""The Python environment is pinned: complete, by hash, from no particular index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINS = (ROOT / "constraints.txt").read_text()


def pinned() -> dict[str, str]:
    return {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", PINS, re.MULTILINE)
    }


def required() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    return [Requirement(each) for each in wanted if not each.startswith("provision[")]


def test_everything_that_the_package_names_is_pinned_to_a_version_it_allows() -> None:
    wrong = [str(each) for each in required() if pinned().get(canonicalize_name(each.name), "") not in each.specifier]
    assert wrong == []


def test_every_pin_has_hashes_and_there_is_no_index() -> None:
    for entry in re.split(r"\n(?=\S)", PINS.strip()):
        assert re.match(r"[\w.-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in PINS
    assert "--index" not in PINS
    assert "--find-links" not in PINS
