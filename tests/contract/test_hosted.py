"""The workflows of hosted runners, which cannot be run here, call what there is."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import catalog
from tests.contract.rules.layout import parse_problem

ROOT = Path(__file__).parents[2]
FILES = {file.name: file for file in (ROOT / ".github/workflows").iterdir()}
# YAML 1.1 reads the key `on` as true.
WORKFLOWS: dict[str, dict[Any, Any]] = {name: yaml.safe_load(file.read_text()) for name, file in FILES.items()}
TEST = WORKFLOWS["test.yml"]["jobs"]
LIST = TEST["list"]["steps"][-1]["run"]


@pytest.mark.parametrize("name", FILES)
def test_a_workflow_may_read_and_comes_to_an_end(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    for job in WORKFLOWS[name]["jobs"].values():
        assert "timeout-minutes" in job or "minutes" in job["with"]
        for step in job.get("steps", []):
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/none@v1"))


def test_every_call_gives_inputs_that_are_taken() -> None:
    calls = [job for job in TEST.values() if "uses" in job]
    assert {"quick", "roles", "e2e", "vm"} == {name for name, job in TEST.items() if job in calls}
    for job in calls:
        taken = WORKFLOWS[Path(job["uses"]).name][True]["workflow_call"]["inputs"]
        assert {name for name, each in taken.items() if each.get("required")} <= set(job["with"]) <= set(taken)


def test_every_option_exists() -> None:
    text = "\n".join(file.read_text() for file in FILES.values())
    for script, option in re.findall(r"scripts/(\w+) (--\w+)", text):
        assert re.search(rf"^ *{option}\)", (ROOT / "scripts" / script).read_text(), re.MULTILINE), option
    for words in re.findall(r"bin/provision (.*)", text):
        assert parse_problem(shlex.split(words)) == ""
    for variable in re.findall(r"(PROVISION_\w+)=", text):
        assert f"`{variable}`" in (ROOT / "docs/reference/command-line.md").read_text()


def test_what_is_listed_is_every_role_and_every_image(tmp_path: Path) -> None:
    images = {"ubuntu-24.04": "file:///image"}
    environment = {**os.environ, "IMAGES": json.dumps(images), "GITHUB_OUTPUT": str(tmp_path / "output")}

    subprocess.run(["bash", "-c", LIST], cwd=ROOT, env=environment, check=True)

    found = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert set(found) == set(TEST["list"]["outputs"])
    assert json.loads(found["roles"]) == sorted(path.name for path in (ROOT / "roles").iterdir())
    machines = json.loads(found["machines"])
    assert [each["distribution"] for each in machines] == ["debian-13", "ubuntu-24.04"]
    assert {each["distribution"] for each in machines} <= {each.distribution for each in catalog.load().distributions}
