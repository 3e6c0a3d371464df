"""When each host worked at which step: gathered from a run's events, kept short in its record, read again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provision import words
from provision.events import (
    AnyEvent,
    Ended,
    HostChanged,
    HostFailed,
    HostResult,
    HostSkipped,
    HostStarted,
    HostUnreachable,
    PlayStarted,
    Task,
    TaskStarted,
)

OK, CHANGED, FAILED, UNREACHABLE, INTERRUPTED = "ok", "changed", "failed", "unreachable", "interrupted"


@dataclass(frozen=True, slots=True)
class Step:
    """One task on one host."""

    host: str
    task: Task
    start: float
    """Seconds since the run's first phase began."""
    seconds: float
    outcome: str
    """`ok`, `changed`, `failed`, `unreachable`, or `interrupted` when the run was broken off meanwhile."""

    @property
    def part(self) -> str:
        """The role that it belongs to; the phase, for a task that stands in a play."""
        return self.task.role or self.task.phase


class Recorder:
    """Takes events in their order and notes the steps; skipped ones cost next to nothing and are left out."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._zero: float | None = None
        self._task_since = 0.0
        self._open: dict[str, tuple[Task, float]] = {}

    def add(self, event: AnyEvent) -> None:
        """Note one event."""
        match event:
            case PlayStarted(at):
                self._zero = at if self._zero is None else self._zero
            case TaskStarted(at):
                self._task_since = at
            case HostStarted(at, host, task):
                self._open[host] = (task, at)
            case HostSkipped():
                self._open.pop(event.host, None)
            case HostResult():
                _, since = self._open.pop(event.host, (event.task, self._task_since or event.at))
                self._note(event.host, event.task, since, event.at, _outcome(event))
            case Ended():
                self._open.clear()

    def close(self, at: float) -> None:
        """The run was broken off at `at`: what hosts were at is noted as interrupted."""
        for host, (task, since) in self._open.items():
            self._note(host, task, since, at, INTERRUPTED)
        self._open.clear()

    def _note(self, host: str, task: Task, since: float, until: float, outcome: str) -> None:
        zero = since if self._zero is None else self._zero
        self.steps.append(Step(host, task, round(since - zero, 2), round(max(0.0, until - since), 2), outcome))


def _outcome(event: HostResult) -> str:
    match event:
        case HostChanged():
            return CHANGED
        case HostFailed(ignored=False):
            return FAILED
        case HostUnreachable(ignored=False):
            return UNREACHABLE
    return OK


def recorded(steps: Sequence[Step]) -> dict[str, Any]:
    """The steps as a record holds them: each task once, and for each host rows of task, start, seconds, outcome."""
    numbers: dict[Task, int] = {}
    hosts: dict[str, list[list[object]]] = defaultdict(list)
    for step in steps:
        number = numbers.setdefault(step.task, len(numbers))
        hosts[step.host].append([number, step.start, step.seconds, step.outcome])
    return {"tasks": [_named(task) for task in numbers], "hosts": dict(hosts)}


def _named(task: Task) -> dict[str, str]:
    parts = {"task": task.name, "phase": task.phase, "role": task.role, "verb": task.verb, "location": task.location}
    return {key: words.without_secrets(value) for key, value in parts.items()}


def steps_in(result: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps of a recorded result, by host; none in records older than this."""
    kept = result.get("timeline") or {}
    tasks = [
        Task(each["task"], each["phase"], each["role"], each["verb"], each["location"])
        for each in kept.get("tasks", [])
    ]
    return tuple(
        Step(host, tasks[number], start, seconds, outcome)
        for host, rows in kept.get("hosts", {}).items()
        for number, start, seconds, outcome in rows
    )


def by_part(steps: Sequence[Step]) -> dict[str, dict[str, float]]:
    """Seconds by role and host, both in the order in which they first appear."""
    parts: dict[str, dict[str, float]] = {}
    for step in sorted(steps, key=lambda step: step.start):
        hosts = parts.setdefault(step.part, {})
        hosts[step.host] = round(hosts.get(step.host, 0.0) + step.seconds, 2)
    return parts


def busy(steps: Sequence[Step]) -> dict[str, float]:
    """Seconds that each host worked; the rest of a run it waited for others."""
    hosts: dict[str, float] = {}
    for step in steps:
        hosts[step.host] = round(hosts.get(step.host, 0.0) + step.seconds, 2)
    return hosts
