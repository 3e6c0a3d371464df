"""Event records of real runs: ansible-core 2.19 with Mitogen on two hosts, stripped of identifiers."""

from __future__ import annotations

import json
from pathlib import Path

from provision import events
from provision.events import AnyEvent
from provision.results import Reducer, RunResult

_DIRECTORY = Path(__file__).parent.parent / "fixtures" / "events"
PROJECT = Path("/project")


def events_of(run: str) -> list[AnyEvent]:
    """The typed events of `fixtures/events/<run>.jsonl`."""
    records = [json.loads(line) for line in (_DIRECTORY / f"{run}.jsonl").read_text().splitlines()]
    return [event for record in records if (event := events.parse(record, PROJECT)) is not None]


def result_of(run: str, *, check: bool = False) -> RunResult:
    """What these events come to."""
    reducer = Reducer(["node1", "node2"], check=check)
    for event in events_of(run):
        reducer.add(event)
    return reducer.result()
