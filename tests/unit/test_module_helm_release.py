"""Charts are installed once, and again when chart or values differ. helm and kubectl are stand-ins."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from .module_runner import ModuleRunner, load

helm_release = load("helm_release")
HELM = """
import json, os, pathlib, sys
state, words = pathlib.Path(os.environ["LAB"]), sys.argv[1:]
with open(state / "calls", "a") as calls: calls.write(words[0] + "\\n")
release = state / "release.json"
if words[:2] == ["show", "chart"]: print(pathlib.Path(words[2]).read_text())
elif words[0] == "list": print(json.dumps([json.loads(release.read_text())] if release.exists() else []))
elif words[0] == "get": print(json.dumps(json.loads(release.read_text())["values"] or None))
elif words[0] == "template": print("kind: CustomResourceDefinition", sys.stdin.read())
elif words[0] == "upgrade":
    if (state / "broken").exists(): sys.exit("Error: timed out waiting for the condition")
    title = "-".join(line.split(": ")[1] for line in pathlib.Path(words[2]).read_text().split("\\n") if ": " in line)
    release.write_text(json.dumps({"chart": title, "status": "deployed", "values": json.load(sys.stdin)}))
"""
KUBECTL = """
import os, pathlib, sys
applied = pathlib.Path(os.environ["LAB"]) / "applied"
manifest = sys.stdin.read()
if sys.argv[1] == "apply": applied.write_text(manifest)
elif not applied.exists() or applied.read_text() != manifest: print("+ a definition"); sys.exit(1)
"""


class Lab:
    """A host with helm, kubectl, a kubeconfig and a chart."""

    def __init__(self, folder: Path, runner: ModuleRunner) -> None:
        self.folder, self.runner = folder, runner
        for name, text in {"helm": HELM, "kubectl": KUBECTL}.items():
            program = folder / name
            # By the interpreter's own path: a `python3` of PATH may be a wrapper that takes its time.
            program.write_text(f"#!{sys.executable} -IS{text}")
            program.chmod(0o755)
        (folder / "admin.conf").touch()
        self.chart("1.0.0")

    def chart(self, version: str) -> None:
        (self.folder / "app.tgz").write_text(f"name: app\nversion: {version}\n")

    def run(self, check: bool = False, **item: Any) -> dict[str, Any]:
        chart = {"release": "app", "namespace": "apps", "chart": str(self.folder / "app.tgz"), **item}
        return self.runner(helm_release, check=check, charts=[chart], kubeconfig=str(self.folder / "admin.conf"))

    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lab:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LAB", str(tmp_path))
    return Lab(tmp_path, ModuleRunner(monkeypatch, capsys))


def test_a_release_is_installed_once(lab: Lab) -> None:
    first, second = lab.run(values={"a": 1}), lab.run(values={"a": 1})

    assert (first["changed"], first["releases"]) == (True, ["app"])
    assert second["changed"] is False
    assert lab.calls().count("upgrade") == 1
    assert json.loads((lab.folder / "release.json").read_text())["values"] == {"a": 1}


def test_other_values_or_another_chart_change_it(lab: Lab) -> None:
    lab.run(values={"a": 1})

    assert lab.run(values={"a": 2})["changed"] is True
    lab.chart("1.1.0")
    result = lab.run(values={"a": 2})
    assert result["changed"] is True
    assert "app-1.1.0" in result["diff"][0]["after"]


def test_check_mode_changes_nothing(lab: Lab) -> None:
    assert lab.run(check=True, values={"a": 1})["changed"] is True
    assert "upgrade" not in lab.calls()
    lab.run(values={"a": 1})
    assert lab.run(check=True, values={"a": 1})["changed"] is False


def test_check_mode_before_anything_is_there(lab: Lab) -> None:
    (lab.folder / "app.tgz").unlink()

    assert lab.run(check=True)["releases"] == ["app"]
    result = lab.run()
    assert result["failed"]
    assert "app.tgz" in result["msg"]


def test_definitions_are_applied_and_kept_out_of_a_release(lab: Lab) -> None:
    assert lab.run(check=True, apply=True)["changed"] is True
    assert not (lab.folder / "applied").exists()
    assert lab.run(apply=True)["changed"] is True
    assert lab.run(apply=True)["changed"] is False
    assert "CustomResourceDefinition" in (lab.folder / "applied").read_text()
    assert "upgrade" not in lab.calls()


def test_a_failure_has_helms_words(lab: Lab) -> None:
    (lab.folder / "broken").touch()

    result = lab.run()

    assert result["failed"]
    assert "timed out waiting for the condition" in result["msg"]
