"""What is printed, where, and how: one document for programs, readable text for people."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from provision import live, render, reports, reports_runs
from provision.aliases import AliasUse
from provision.errors import InvalidInput, Location, TaskFailed
from provision.inventory import Site
from provision.results import RunResult
from provision.state import Record
from tests.unit.recorded import events_of, result_of


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    render.configure(format="text", verbosity=0)
    yield
    render.configure(format="text", verbosity=0)


def _text(renderable: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=160, highlight=False).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_json_is_the_only_thing_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    render.configure(format="json")
    render.info("working")
    render.warn("careful")
    with render.progress("Downloading") as bars:
        bars.finish(bars.start("kubelet"), "cached")
    render.emit({"done": True}, "for people")

    out, err = capsys.readouterr()
    assert json.loads(out) == {"done": True}
    assert err.splitlines() == ["working", "warning: careful", "Downloading", "  kubelet (cached)"]


def test_text_has_no_colour_outside_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    render.success("done")
    render.emit({}, lambda: "the result [not markup]")

    assert "\x1b" not in (out := capsys.readouterr().out)
    assert out.splitlines()[0] == "done"


def test_details_are_for_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    render.detail("hidden")
    render.configure(verbosity=1)
    render.detail("shown")

    assert capsys.readouterr().out == "shown\n"


def test_an_error_shows_all_problems_with_place_and_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    more = InvalidInput("etcd needs an odd number of members", location=Location("/x/site.ini", 9))
    render.error(InvalidInput("unknown name cluster_vipp", hint="did you mean cluster_vip?", others=(more,)))

    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: unknown name cluster_vipp",
        "  hint: did you mean cluster_vip?",
        "error: /x/site.ini:9: etcd needs an odd number of members",
    ]


@pytest.mark.parametrize(("answer", "meant"), [("yes", True), ("Y", True), ("", False), ("no", False), ("yep", False)])
def test_only_a_yes_is_a_yes(answer: str, meant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda: answer)
    assert render.confirm("Change?") is meant


def test_a_great_loss_needs_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda: "yes")
    assert not render.confirm("Destroy?", expected="lab")
    monkeypatch.setattr("builtins.input", lambda: "lab")
    assert render.confirm("Destroy?", expected="lab")


def test_a_failure_is_told_with_all_one_needs() -> None:
    assert _text(reports.failures(result_of("failed"))).strip().splitlines() == [
        "FAILED node2",
        "  role      etcd (main)",
        "  task      Start etcd",
        "  at        roles/etcd/tasks/main.yml:10",
        "  said      etcd: member 3 is unhealthy token=[hidden]",
    ]


def test_an_unreachable_host_is_explained() -> None:
    text = _text(reports.failures(result_of("unreachable")))

    assert "because   nothing listens for ssh there" in text
    assert "said      ssh: connect to host 127.0.0.1 port 1: Connection refused" in text
    assert "role" not in text


def test_a_refused_machine_lists_its_problems() -> None:
    text = _text(reports.failures(result_of("refused")))
    assert "swap      swap is in use: /dev/sda2" in text
    assert "→ swapoff -a" in text


def test_a_plan_puts_hosts_with_the_same_work_together() -> None:
    result = result_of("plan", check=True)
    same = RunResult(check=True, changes=tuple(change for change in result.changes if not change.summary))

    assert "node1, node2  1 change each" in _text(reports.plan(same))
    assert "host: Write the host's files" in _text(reports.plan(result))
    assert "4 changes on 2 hosts" in _text(reports.plan(result))


def test_a_plan_shows_differences_on_demand() -> None:
    assert "+10.0.0.1 api" not in _text(reports.plan(result_of("plan")))
    render.configure(verbosity=1)
    assert "+10.0.0.1 api" in _text(reports.plan(result_of("plan")))


def test_an_empty_plan_says_so() -> None:
    assert reports.NOTHING_TO_DO in _text(reports.plan(RunResult(check=True)))


def test_a_plan_names_what_it_took_from_kubespray_and_counts_the_rest() -> None:
    used = AliasUse("kube_version", "cluster_version", "1.36.4", None)
    idle = AliasUse("container_manager", "", "containerd", None, "it is the only one")
    described = cast(Site, SimpleNamespace(path=Path("site.ini"), aliases=(used, idle)))

    text = _text(reports.site(described))
    assert text.splitlines() == [
        "Plan for site.ini",
        "  kube_version taken as cluster_version = 1.36.4",
        "  1 name of Kubespray is not needed here (--verbose names them)",
    ]
    render.configure(verbosity=1)
    assert "container_manager = containerd is not needed here: it is the only one" in _text(reports.site(described))


def test_lines_for_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with live.watch(["Prepare the hosts"]) as view:
        for event in events_of("failed"):
            view.add(event)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Prepare the hosts ")
    assert lines[0].endswith("s   2 hosts, changes on 2")
    assert "FAILED node2: etcd: Start etcd: etcd: member 3 is unhealthy token=[hidden]" in lines
    assert lines[-1].startswith("Bring up etcd ")


def test_work_that_only_reads_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    with live.watch([], keep=False) as view:
        for event in events_of("plan"):
            view.add(event)

    assert capsys.readouterr().out == ""


def test_the_live_view_shows_phases_hosts_and_what_is_to_come() -> None:
    view = live._Live(["Prepare the hosts", "Bring up etcd", "Verify the cluster"])
    for event in events_of("failed")[:-1]:
        view.add(event)
    text = _text(view)

    assert text.splitlines()[0].startswith("✓ Prepare the hosts")
    assert "▸ Bring up etcd" in text
    assert "node2  etcd: member 3 is unhealthy" in text
    assert "node1  waits for the others" in text
    assert text.splitlines()[-1] == "  Verify the cluster"


def test_a_status_shows_what_matters() -> None:
    status = {
        "nodes": [
            {"name": "cp1", "roles": ["control-plane"], "ready": True, "version": "v1.36.4", "address": "10.77.0.11"},
            {"name": "w1", "roles": [], "ready": False, "reason": "KubeletNotReady", "taints": ["a=b:NoSchedule"]},
        ],
        "api": {"mode": "vip", "endpoint": "api.cluster.local:8443", "ready": True},
        "vip": {"address": "10.77.0.10", "holder": "cp1"},
        "etcd": {"leader": "cp1", "db_size": 2**21, "alarms": [], "members": [{"name": "cp1", "healthy": True}]},
        "certificates": [{"host": "cp1", "name": "apiserver", "days_left": 364}],
        "drift": [{"host": "w1", "what": "lacks the label a=b"}],
        "problems": [{"check": "node", "message": "w1 is not ready: KubeletNotReady", "hint": ""}],
    }
    text = _text(reports.status(status))

    for part in (
        "w1     worker          no",
        "api.cluster.local:8443 (answers)",
        "10.77.0.10 on cp1",
        "1 of 1 member healthy, leader cp1, 2.0 MiB, no alarms",
        "the first of 1 ends in 364 days (apiserver on cp1)",
        "w1: lacks the label a=b",
        "problem: w1 is not ready: KubeletNotReady",
    ):
        assert part in text
    assert "The cluster is healthy." in _text(reports.status({**status, "problems": []}))


def test_the_history_and_one_run() -> None:
    result = {**result_of("failed").as_dict()}
    record = Record(
        3, "cluster", "/x/site.ini", "run", state="failed", seconds=61.2, result=result, error="etcd failed"
    )

    assert "cluster" in _text(reports_runs.runs([record]))
    assert " planned" not in _text(reports_runs.runs([record]))
    assert " planned" in _text(reports_runs.runs([replace(record, mode="plan")]))
    text = _text(reports_runs.run(record))
    for part in ("3 · cluster (run)", "Bring up etcd", "█", "FAILED node2: Start etcd", "etcd failed"):
        assert part in text
    assert "No runs are recorded." in _text(reports_runs.runs([]))


def test_a_change_without_a_difference_is_said_to_be_one() -> None:
    change = {"host": "cp1", "role": "etcd", "task": "Make the certificates", "summary": []}

    assert list(reports_runs.changes_by_step([change])) == [
        ("cp1", "etcd", "Make the certificates", "changed; the content is not recorded")
    ]


def test_an_error_as_json_keeps_file_and_line() -> None:
    assert TaskFailed("no", location=Location("a.yml", 3)).as_dict()["line"] == 3


def test_no_color_means_no_escapes_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdout", out := Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    render.show(render.table(("component",), [("kubelet",)]))
    render.success("done")
    assert "\x1b" not in out.getvalue()


def test_a_narrow_table_cuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    Console(file=out, width=20).print(
        render.table(("name", "image"), [("kube", "registry.example.org/kube-apiserver")])
    )
    assert "…" not in out.getvalue()
