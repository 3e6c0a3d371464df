"""Validate, lock, plan, confirm, run, record: in this order, and nothing after a no."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from provision import errors, paths, playbooks, render, runner, state, workflows
from provision.workflows import Request
from tests.unit import fakes
from tests.unit.fakes import FakeRunner
from tests.unit.sites import write_site

CLUSTER = workflows.WORKFLOWS["cluster"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_site(tmp_path)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRunner:
    return fakes.install(monkeypatch, tmp_path / "state")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A person who says yes; what they were asked."""
    questions: list[str] = []
    monkeypatch.setattr(render, "interactive", lambda: True)
    monkeypatch.setattr(render, "confirm", lambda question, **_: questions.append(question) or True)
    return questions


def _execute(request: Request) -> workflows.Outcome:
    return workflows.execute(request, lambda _site, _plan: None)


def test_yes_goes_straight_to_the_run(site: Path, fake: FakeRunner) -> None:
    done = _execute(Request(CLUSTER, site, yes=True))

    assert fake.modes == ["run"]
    assert done.error is None
    assert done.run == 1
    assert fake.calls[0].inventories == (paths.groups_file(), site)


def test_a_person_sees_the_plan_and_is_asked(site: Path, fake: FakeRunner, asked: list[str]) -> None:
    shown: list[int] = []
    done = workflows.execute(Request(CLUSTER, site), lambda _site, plan: shown.append(len(plan.changes)))

    assert fake.modes == ["check", "run"]
    assert shown == [4]
    assert asked == ["Change these machines of kubernetes?"]
    assert not done.result.check


def test_a_no_changes_nothing_and_is_recorded(
    site: Path, fake: FakeRunner, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "confirm", lambda *_args, **_more: False)
    done = _execute(Request(CLUSTER, site))

    assert fake.modes == ["check"]
    assert isinstance(done.error, errors.NotConfirmed)
    assert state.History.of(site).record().state == state.DECLINED
    assert state.History.of(site).record().mode == "plan"


def test_nobody_is_asked_when_nothing_is_to_do(site: Path, fake: FakeRunner, asked: list[str]) -> None:
    fake.plan = ("", fakes.GOOD)
    done = _execute(Request(CLUSTER, site))

    assert fake.modes == ["check"]
    assert asked == []
    assert done.error is None


def test_without_a_person_and_without_yes_no_host_is_touched(site: Path, fake: FakeRunner) -> None:
    with pytest.raises(errors.NotConfirmed) as caught:
        _execute(Request(CLUSTER, site, hosts=("cp1",)))

    assert fake.modes == []
    assert "provision cluster cp1 -i" in str(caught.value.hint)
    assert "--yes" in str(caught.value.hint)
    assert state.History.of(site).records() == []


@pytest.mark.parametrize("was", [True, False])
def test_a_sandbox_that_is_gone_is_missed(
    was: bool, site: Path, fake: FakeRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    record = state.History.of(site).begin("cluster", site, "run", {"sandbox": was})
    state.History.of(site).save(dataclasses.replace(record, state=state.DONE))

    _execute(Request(CLUSTER, site, plan_only=True))

    assert ("its sandbox is down, so its own machines are meant" in capsys.readouterr().err) is was


def test_a_plan_runs_in_check_mode_alone(site: Path, fake: FakeRunner) -> None:
    done = _execute(Request(CLUSTER, site, plan_only=True))

    assert fake.modes == ["check"]
    assert done.error is None
    assert state.History.of(site).record().mode == "plan"


def test_a_plan_with_changes_can_end_with_10(site: Path, fake: FakeRunner) -> None:
    assert isinstance(_execute(Request(CLUSTER, site, plan_only=True, exit_code=True)).error, errors.PlanHasChanges)
    assert state.History.of(site).record().state == state.DONE

    fake.plan = ("", fakes.GOOD)
    assert _execute(Request(CLUSTER, site, plan_only=True, exit_code=True)).error is None


def test_a_refused_machine_stops_before_the_question(site: Path, fake: FakeRunner, asked: list[str]) -> None:
    fake.plan = ("refused", fakes.BAD)
    done = _execute(Request(CLUSTER, site))

    assert fake.modes == ["check"]
    assert asked == []
    assert isinstance(done.error, errors.PreflightRefused)


@pytest.mark.parametrize(
    ("ending", "kept", "code"),
    [(("failed", fakes.BAD), state.FAILED, 6), (("failed", fakes.BROKEN_OFF), state.INTERRUPTED, 130)],
)
def test_how_a_run_ended_is_recorded(
    site: Path, fake: FakeRunner, ending: tuple[str, runner.Finished], kept: str, code: int
) -> None:
    fake.work = ending
    _execute(Request(CLUSTER, site, yes=True))

    record = state.History.of(site).record()
    assert (record.state, record.exit_code) == (kept, code)
    assert record.result["failures"][0]["host"] == "node2"
    assert record.ended


def test_a_run_that_breaks_down_is_recorded_and_lets_go_of_the_site(
    site: Path, fake: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(runner, "run", break_down)
    with pytest.raises(OSError, match="disk full"):
        _execute(Request(CLUSTER, site, yes=True))

    assert state.History.of(site).record().error == "OSError: disk full"
    assert state.holder(state.site_directory(site)) is None


def test_reading_needs_no_lock_and_leaves_no_record(site: Path, fake: FakeRunner) -> None:
    with state.lock(site, "cluster"):
        done = _execute(Request(workflows.WORKFLOWS["preflight"], site))

    assert (done.error, done.run) == (None, None)
    assert state.History.of(site).records() == []


def test_a_second_run_is_kept_out(site: Path, fake: FakeRunner) -> None:
    with state.lock(site, "cluster"), pytest.raises(errors.Locked):
        _execute(Request(CLUSTER, site, yes=True))
    assert fake.modes == []


def test_destroying_asks_for_the_name(
    site: Path, fake: FakeRunner, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed: list[str] = []
    monkeypatch.setattr(render, "confirm", lambda _question, *, expected: typed.append(expected))
    destroying = workflows.Workflow("cluster", "", workflows.Effect.DESTROYS)

    assert isinstance(_execute(Request(destroying, site)).error, errors.NotConfirmed)
    assert typed == ["kubernetes"]


def test_the_phases_of_a_playbook_follow_its_imports(tmp_path: Path) -> None:
    (tmp_path / "phases").mkdir()
    (tmp_path / "phases" / "a.yml").write_text("- name: First\n  hosts: all\n- hosts: etcd\n")
    (tmp_path / "top.yml").write_text("- name: A\n  import_playbook: phases/a.yml\n- {name: Last, hosts: all}\n")

    assert playbooks.phases_of(tmp_path / "top.yml") == ("First", "etcd", "Last")


@pytest.mark.parametrize("workflow", workflows.WORKFLOWS.values(), ids=lambda workflow: workflow.name)
def test_every_workflow_has_its_playbook_with_named_phases(workflow: workflows.Workflow) -> None:
    assert workflow.playbook.is_file()
    assert all(playbooks.phases_of(workflow.playbook))


def test_resume_goes_on_with_what_the_broken_run_was_asked_for(site: Path, fake: FakeRunner) -> None:
    history = state.History.of(site)
    options = {"hosts": ["node1"], "without": [], "inputs": {"run_version": "1.36.4"}}
    broken = history.begin("cluster", site, "run", options)
    history.save(dataclasses.replace(broken, state=state.INTERRUPTED))

    _execute(Request(CLUSTER, site, yes=True, resume=True))

    assert fake.calls[0].extra_vars == {"run_hosts": "node1", "run_version": "1.36.4"}


def test_nothing_is_resumed_after_a_good_end(site: Path, fake: FakeRunner) -> None:
    _execute(Request(CLUSTER, site, yes=True))

    with pytest.raises(errors.UsageError, match="nothing to resume"):
        _execute(Request(CLUSTER, site, yes=True, resume=True))
    assert fake.modes == ["run"]


def test_a_name_that_is_no_host_is_refused(site: Path, fake: FakeRunner) -> None:
    with pytest.raises(errors.InvalidInput, match="no host"):
        _execute(Request(CLUSTER, site, yes=True, without=("nobody",)))
    assert fake.modes == []


def test_an_even_number_of_etcd_members_is_refused_where_no_cluster_was_made(tmp_path: Path, fake: FakeRunner) -> None:
    inventory = tmp_path / "site.ini"
    inventory.write_text((Path(__file__).parents[1] / "fixtures/sites/two_etcd_members.ini").read_text())
    with pytest.raises(errors.InvalidInput, match="etcd has 2 members") as caught:
        _execute(Request(CLUSTER, inventory, yes=True))
    assert (caught.value.exit_code, caught.value.location.line if caught.value.location else 0) == (3, 6)
    assert fake.modes == []

    history = state.History.of(inventory)
    for number, (workflow, mode) in enumerate((("cluster", "plan"), ("cluster", "run"), ("reset", "run"))):
        history.save(dataclasses.replace(history.begin(workflow, inventory, mode, {}), state=state.DONE))
        if number == 1:
            _execute(Request(CLUSTER, inventory, yes=True))
        else:
            with pytest.raises(errors.InvalidInput):
                _execute(Request(CLUSTER, inventory, yes=True))
    assert fake.modes == ["run"]
