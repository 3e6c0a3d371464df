"""What each host did when: noted from events, kept short, read again as it was."""

from __future__ import annotations

import json

from provision import timeline
from provision.events import (
    AnyEvent,
    Ended,
    HostChanged,
    HostFailed,
    HostOk,
    HostSkipped,
    HostStarted,
    HostUnreachable,
    PlayStarted,
    Task,
    TaskStarted,
)
from provision.results import Reducer
from provision.timeline import Step
from tests.unit.recorded import result_of

TASK = Task("Run etcd", "Bring up etcd", "etcd", "main", "roles/etcd/tasks/main.yml:9")
OTHER = Task("Look", "Bring up etcd")


def _steps(*events: AnyEvent, close: float | None = None) -> list[Step]:
    recorder = timeline.Recorder()
    for event in events:
        recorder.add(event)
    if close is not None:
        recorder.close(close)
    return recorder.steps


def test_each_host_has_its_own_time() -> None:
    assert _steps(
        PlayStarted(100.0, "Bring up etcd"),
        TaskStarted(101.0, TASK),
        HostStarted(101.1, "a", TASK),
        HostStarted(101.2, "b", TASK),
        HostChanged(103.1, "a", TASK),
        HostOk(101.7, "b", TASK),
    ) == [Step("a", TASK, 1.1, 2.0, "changed"), Step("b", TASK, 1.2, 0.5, "ok")]


def test_a_task_that_never_said_that_a_host_began_counts_from_its_own_start() -> None:
    assert _steps(PlayStarted(1.0, "x"), TaskStarted(2.0, TASK), HostOk(2.5, "a", TASK)) == [
        Step("a", TASK, 1.0, 0.5, "ok")
    ]


def test_skipped_tasks_are_left_out_and_failures_told_apart() -> None:
    steps = _steps(
        PlayStarted(0.0, "x"),
        HostStarted(1.0, "a", TASK),
        HostSkipped(1.1, "a", TASK),
        HostFailed(2.0, "b", TASK),
        HostFailed(2.0, "c", TASK, ignored=True),
        HostUnreachable(2.0, "d", TASK),
    )
    assert [(step.host, step.outcome) for step in steps] == [("b", "failed"), ("c", "ok"), ("d", "unreachable")]


def test_what_a_broken_off_run_was_at_is_interrupted() -> None:
    started = (PlayStarted(0.0, "x"), HostStarted(1.0, "a", TASK))

    assert _steps(*started, close=5.0) == [Step("a", TASK, 1.0, 4.0, "interrupted")]
    assert _steps(*started, Ended(4.0, {}, {}), close=5.0) == []


def test_a_record_gives_the_steps_back() -> None:
    result = result_of("failed")

    assert result.steps
    assert timeline.steps_in(json.loads(json.dumps(result.as_dict()))) == result.steps
    assert timeline.steps_in({}) == ()


def test_seconds_by_role_and_by_host() -> None:
    steps = [Step("a", TASK, 1.0, 2.0, "ok"), Step("a", TASK, 3.0, 0.5, "ok"), Step("b", OTHER, 0.0, 1.0, "ok")]

    assert timeline.by_part(steps) == {"Bring up etcd": {"b": 1.0}, "etcd": {"a": 2.5}}
    assert timeline.busy(steps) == {"a": 2.5, "b": 1.0}


def test_a_large_site_keeps_a_small_record() -> None:
    reducer = Reducer()
    reducer.add(PlayStarted(0.0, "Prepare the hosts"))
    for number in range(45):
        task = Task(f"Do the thing number {number}", "Prepare the hosts", "host", "main", f"roles/host/x.yml:{number}")
        for host in range(200):
            reducer.add(HostStarted(number * 3.21, f"node{host:03}", task))
            reducer.add(HostOk(number * 3.21 + 2.17, f"node{host:03}", task))

    kept = json.dumps(reducer.result().as_dict(), separators=(",", ":"))
    assert len(reducer.result().steps) == 9000
    assert len(kept) < 300_000


def test_no_secret_reaches_a_record() -> None:
    """Whatever a task is called and whatever its module returns."""
    task = Task("Join with --token abcdef.0123456789abcdef", "password=hunter2", "etcd", "main", "x.yml:1")
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"
    reducer = Reducer()
    reducer.add(PlayStarted(0.0, "password=hunter2"))
    result = {"msg": f"token: abcdef.0123456789abcdef {key}", "stdout": key, "diff": {"after": key}}
    reducer.add(HostChanged(1.0, "a", task, result))
    reducer.add(HostFailed(2.0, "a", task, result))

    kept = json.dumps(reducer.result().as_dict())
    for secret in ("abcdef.0123456789abcdef", "hunter2", "MIIEow"):
        assert secret not in kept
