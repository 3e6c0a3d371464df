"""Ansible's records become the events they tell of."""

from __future__ import annotations

import pytest

from provision import events
from provision.events import (
    Ended,
    HostChanged,
    HostFailed,
    HostResult,
    HostSkipped,
    HostStarted,
    HostUnreachable,
    Message,
    PlayStarted,
    TaskStarted,
)
from tests.unit.recorded import events_of


def test_the_phases_are_the_plays() -> None:
    plays = [event.name for event in events_of("failed") if isinstance(event, PlayStarted)]
    assert plays == ["Prepare the hosts", "Bring up etcd"]


def test_a_task_knows_its_role_verb_and_place() -> None:
    task = next(event.task for event in events_of("failed") if isinstance(event, TaskStarted))

    assert (task.name, task.role, task.verb) == ("Write the host's files", "host", "main")
    assert task.location == "roles/host/tasks/main.yml:1"
    assert task.phase == "Prepare the hosts"


def test_a_change_that_is_kept_secret_is_still_a_change() -> None:
    hidden = [event for event in events_of("failed") if isinstance(event, HostResult) and "censored" in event.result]

    assert {event.host for event in hidden} == {"node1", "node2"}
    assert all(isinstance(event, HostChanged) for event in hidden)
    assert "hunter2" not in str(hidden)


def test_a_skipped_task_and_its_start() -> None:
    seen = [type(event) for event in events_of("plan") if getattr(event, "host", "") == "node1"]
    assert seen == [HostStarted, HostChanged, HostStarted, HostChanged, HostStarted, HostSkipped]


def test_the_end_counts_changes_and_rescues() -> None:
    end = events_of("failed")[-1]

    assert isinstance(end, Ended)
    assert end.changed == {"node1": 2, "node2": 2}
    assert end.rescued == {"node1": 1, "node2": 1}


def test_an_unreachable_host_that_the_playbook_expects() -> None:
    expected = [event for event in events_of("ignored") if isinstance(event, HostUnreachable)]
    fatal = [event for event in events_of("unreachable") if isinstance(event, HostUnreachable)]

    assert [event.ignored for event in expected] == [True]
    assert [event.ignored for event in fatal] == [False]


def test_a_failure_carries_what_the_module_returned() -> None:
    failed = [event for event in events_of("refused") if isinstance(event, HostFailed)]

    assert [event.host for event in failed] == ["node1"]
    assert failed[0].result["provision_problems"][0]["check"] == "swap"


def test_what_ansible_says_outside_any_task() -> None:
    said = [event.text for event in events_of("broken") if isinstance(event, Message)]
    assert said[0] == "[ERROR]: 'taskss' is not a valid attribute for a Play"


@pytest.mark.parametrize("record", [{}, {"event": "playbook_on_start"}, {"event": "runner_on_start", "event_data": {}}])
def test_records_that_nobody_needs(record: dict[str, object]) -> None:
    assert events.parse(record) is None
