"""Events are reduced to what a run came to."""

from __future__ import annotations

import json

from provision.events import HostChanged, HostFailed, HostOk, HostStarted, PlayStarted, Task, TaskStarted
from provision.results import Problem, Reducer, Span, Tally
from tests.unit.recorded import result_of

TASK = Task("Start etcd", "Bring up etcd", "etcd", "main", "roles/etcd/tasks/main.yml:9")


def test_hosts_are_counted_in_the_order_of_the_inventory() -> None:
    result = result_of("failed")

    assert list(result.hosts) == ["node1", "node2"]
    assert result.hosts["node1"] == Tally(ok=1, changed=2, failed=1, skipped=2)
    assert result.hosts["node1"].evaluated == 6


def test_a_rescued_failure_is_none() -> None:
    failures = result_of("failed").failures

    assert [(failure.host, failure.task.name) for failure in failures] == [("node2", "Start etcd")]
    assert failures[0].words == "etcd: member 3 is unhealthy token=[hidden]"


def test_phases_and_roles_have_their_time() -> None:
    result = result_of("failed")

    assert [span.name for span in result.phases] == ["Prepare the hosts", "Bring up etcd"]
    assert [span.name for span in result.roles] == ["host", "etcd"]
    assert all(span.seconds > 0 for span in (*result.phases, *result.roles))


def test_a_plan_lists_the_changes_with_their_diff_in_short() -> None:
    result = result_of("plan", check=True)
    change = result.changes[0]

    assert result.check
    assert result.changed_hosts == ("node1", "node2")
    assert (change.host, change.task.role, change.summary) == ("node1", "host", ("/project/out-node1 (+1 -0)",))
    assert "+10.0.0.1 api" in change.diff


def test_what_is_recorded_holds_no_secret_and_no_diff() -> None:
    recorded = json.dumps(result_of("failed").as_dict())

    assert "hunter2" not in recorded
    assert "abc123" not in recorded
    assert "+10.0.0.1" not in recorded


def test_refusals_and_warnings_of_the_preflight() -> None:
    result = result_of("refused")

    assert result.failures[0].problems == (Problem("swap", "swap is in use: /dev/sda2", "swapoff -a"),)
    assert result.warnings == (Problem("disk", "little space"),)


def test_a_failed_check_of_the_cluster_is_told_apart() -> None:
    failure = result_of("unverified").failures[0]

    assert failure.verifying
    assert failure.words == "a pod on node2 cannot resolve kubernetes.default"


def test_an_expected_dead_host_is_no_failure() -> None:
    result = result_of("ignored")

    assert not result.failures
    assert result.hosts["node1"] == Tally(ok=1)


def test_the_status_is_handed_on() -> None:
    reducer = Reducer()
    reducer.add(HostOk(1.0, "node1", TASK, {"provision_status": {"nodes": []}}))

    assert reducer.result().status == {"nodes": []}


def test_a_run_that_was_broken_off_has_its_last_phase() -> None:
    reducer = Reducer()
    reducer.add(PlayStarted(10.0, "Bring up etcd"))
    reducer.add(TaskStarted(11.0, TASK))
    reducer.add(HostChanged(12.0, "node1", TASK, {"changed": True}))
    reducer.close(14.5)

    assert reducer.result().phases == (Span("Bring up etcd", 4.5, "interrupted"),)


def test_a_phase_that_was_broken_off_in_its_first_task_is_told() -> None:
    reducer = Reducer()
    reducer.add(PlayStarted(10.0, "Bring up etcd"))
    reducer.add(HostStarted(11.0, "node1", TASK))
    reducer.close(14.5)

    assert reducer.result().phases == (Span("Bring up etcd", 4.5, "interrupted"),)
    assert [step.outcome for step in reducer.result().steps] == ["interrupted"]


def test_the_batches_of_a_phase_are_one() -> None:
    reducer = Reducer()
    for number in range(3):
        reducer.add(PlayStarted(10.0 * number, "Renew the certificates"))
        reducer.add(HostOk(10.0 * number + 1, f"node{number}", TASK))
    reducer.close(25.0)

    assert [(span.name, span.seconds) for span in reducer.result().phases] == [("Renew the certificates", 25.0)]


def test_a_phase_in_which_something_failed_is_marked() -> None:
    result = result_of("failed")

    assert [(span.name, span.state) for span in result.phases] == [
        ("Prepare the hosts", "done"),
        ("Bring up etcd", "failed"),
    ]
    assert [(span.name, span.state) for span in result.roles] == [("host", "done"), ("etcd", "failed")]


def test_an_expected_failure_marks_no_phase() -> None:
    assert {span.state for span in result_of("ignored").phases} == {"done"}


def test_an_ignored_failure_counts_as_ok() -> None:
    reducer = Reducer()
    reducer.add(HostFailed(1.0, "node1", TASK, {"msg": "no"}, ignored=True))

    assert not reducer.result().failures
    assert reducer.result().hosts["node1"].ok == 1


def test_a_host_whose_silence_was_passed_over_before_is_unreachable_in_the_end() -> None:
    reducer = Reducer()
    reducer.add(HostFailed(1.0, "node1", TASK, {"msg": "timed out", "unreachable": True, "failed": True}))

    assert [failure.unreachable for failure in reducer.result().failures] == [True]
