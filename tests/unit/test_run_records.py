"""Recorded runs as people and programs read them: `runs show`, its page, and `runs diff`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from provision import cli, html_report, render, run_diff, run_picture, state
from provision.events import Task
from provision.state import Record
from provision.timeline import Step
from tests.unit.recorded import result_of
from tests.unit.sites import write_site
from tests.unit.test_drills_report import report

TASK = Task("Run <etcd>", "Bring up etcd", "etcd", "main", "roles/etcd/tasks/main.yml:9")


def _record(number: int, run: str, **more: object) -> Record:
    made = Record(number, "cluster", "/x/site.ini", "run", state="failed", result=result_of(run).as_dict())
    return replace(made, **more)  # type: ignore[arg-type]  # any field


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVISION_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    render.configure(format="text", verbosity=0)
    path = write_site(tmp_path)
    for number, run in ((1, "unreachable"), (2, "failed")):
        state.History.of(path).save(_record(number, run))
    return path


def _provision(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["provision", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


class _Page(HTMLParser):
    """What a browser would load, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {name}={value}" for name, value in attrs if name in {"src", "href", "data", "onload"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_tells_everything() -> None:
    text = html_report.page(_record(3, "failed", error="etcd <failed>"))
    page = _Page(text)

    assert page.loads == []
    assert page.open == []
    assert "url(" not in text
    assert "@import" not in text
    for part in ("Run 3: cluster", "etcd &lt;failed&gt;", "Bring up etcd", "node2", "Start etcd", "Slowest steps"):
        assert part in text


def test_a_record_without_steps_still_has_its_page() -> None:
    old = _record(3, "failed")
    text = html_report.page(replace(old, result={**old.result, "timeline": {}}))

    assert "recorded without its steps" in text
    assert not _Page(text).open


def test_the_picture_has_a_bar_for_each_step_where_it_belongs() -> None:
    steps = [
        Step("a", TASK, 0.0, 5.0, "changed"),
        Step("b", TASK, 5.0, 5.0, "failed"),
    ]
    picture = ET.fromstring(run_picture.svg(steps))
    bars = [element for element in picture.iter() if (element.get("class") or "").startswith("step ")]

    first, second = ({key: float(bar.attrib[key]) for key in ("x", "y", "width")} for bar in bars)
    assert [bar.get("class") for bar in bars] == ["step changed", "step failed"]
    assert first["y"] < second["y"]
    assert abs(first["x"] + first["width"] - second["x"]) < 1
    assert abs(first["width"] - second["width"]) < 0.2
    assert bars[1][0].text == "b\netcd: Run <etcd>\n5.0 s, failed, from 5.0 s\nroles/etcd/tasks/main.yml:9"


def test_a_run_shows_the_time_of_each_host_and_the_phase_that_failed(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _provision(monkeypatch, "runs", "show", "2", "-i", site) == 0

    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:5] == ["seconds", "in", "role", "node1", "node2"] for line in lines)
    assert any(line.split()[:3] == ["Bring", "up", "etcd"] and line.split()[-1] == "failed" for line in lines)


def test_a_drill_shows_what_it_measured(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drill = Record(3, "drill", str(site), "run", state="done", result={"report": report().as_dict()})
    state.History.of(site).save(drill)

    assert _provision(monkeypatch, "runs", "show", "3", "-i", site) == 0

    said = capsys.readouterr().out
    assert "vip-holder on cp1: passed" in said
    assert ["API", "read", "0.35", "s", "2.0", "s", "3", "7"] in [line.split() for line in said.splitlines()]


def test_the_page_is_written_for_the_operator_alone(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _provision(monkeypatch, "runs", "show", "-i", site, "--html") == 0

    assert "run-2.html" in capsys.readouterr().out
    assert Path("run-2.html").stat().st_mode & 0o777 == 0o600
    assert _provision(monkeypatch, "runs", "show", "-i", site, "--html", "--to", "no/where.html") == 2
    assert _provision(monkeypatch, "runs", "show", "-i", site, "--to", "x.html") == 2


def test_two_runs_beside_each_other(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _provision(monkeypatch, "runs", "diff", "1", "2", "-i", site) == 0
    assert "changed only in run 2" in capsys.readouterr().out

    assert _provision(monkeypatch, "runs", "diff", "1", "2", "-i", site, "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["runs"] == [1, 2]
    assert {host["name"] for host in document["hosts"]} == {"node1", "node2"}
    assert _provision(monkeypatch, "runs", "diff", "1", "9", "-i", site) == 2


def test_a_comparison_names_what_differs() -> None:
    a = _record(1, "failed", options={"limit": None, "strategy": "mitogen"}, seconds=60.0)
    phases = [{"name": name, "seconds": took} for name, took in (("Prepare the hosts", 9.0), ("New", 1.0))]
    b = replace(a, number=2, options={"limit": "cp1", "strategy": "mitogen"}, result={**a.result, "phases": phases})
    compared = run_diff.compare(a, replace(b, result={**b.result, "changes": []}))

    assert [(pair.name, pair.a, pair.b) for pair in compared.options][-1] == ("limit", None, "cp1")
    assert [pair.name for pair in compared.phases] == ["Prepare the hosts", "New", "Bring up etcd"]
    assert compared.phases[1].a is None
    assert len(compared.only_a) == len(a.result["changes"])
    assert compared.only_b == ()


def test_a_comparison_with_itself_finds_nothing(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _provision(monkeypatch, "runs", "diff", "2", "2", "-i", site) == 0
    assert "Both changed the same." in capsys.readouterr().out
