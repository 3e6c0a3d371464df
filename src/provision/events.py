"""What Ansible reports while it works, as typed events: the only place that knows the shape of its event records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

_ROLE_FILE = re.compile(r"roles/(?P<role>[^/]+)/(?:tasks|handlers)/(?P<verb>[^/:]+)\.ya?ml")
_CHANGED_LINE = re.compile(r"^changed: \[", re.MULTILINE)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a playbook: what it is called and where it is written."""

    name: str
    phase: str
    """The name of the play it belongs to."""
    role: str = ""
    verb: str = ""
    """The entry point of the role: the stem of its task file."""
    location: str = ""
    """`file:line`, relative to the project where it is part of it."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened at `at` (seconds since the epoch)."""

    at: float


@dataclass(frozen=True, slots=True)
class PlayStarted(Event):
    """A phase began."""

    name: str


@dataclass(frozen=True, slots=True)
class TaskStarted(Event):
    """A task begins on all hosts of the phase."""

    task: Task


@dataclass(frozen=True, slots=True)
class HostStarted(Event):
    """A host begins the task."""

    host: str
    task: Task


@dataclass(frozen=True, slots=True)
class HostResult(Event):
    """A host ended the task; `result` is what the module returned (empty where it was kept secret)."""

    host: str
    task: Task
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostOk(HostResult):
    """Everything was as it should be."""


@dataclass(frozen=True, slots=True)
class HostChanged(HostResult):
    """Something was changed; in check mode: would be."""


@dataclass(frozen=True, slots=True)
class HostSkipped(HostResult):
    """A condition said no."""


@dataclass(frozen=True, slots=True)
class HostFailed(HostResult):
    """The task failed on this host; `ignored` when the playbook goes on all the same."""

    ignored: bool = False


@dataclass(frozen=True, slots=True)
class HostUnreachable(HostResult):
    """The host could not be reached, or did not let us in; `ignored` when the playbook expects that."""

    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """The playbook is over; Ansible's own counts, by host: the judge where results were kept secret."""

    changed: Mapping[str, int]
    rescued: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Message(Event):
    """A line of Ansible's that belongs to no task: a warning, an error before the first task, debug output."""

    text: str


AnyEvent: TypeAlias = (
    PlayStarted
    | TaskStarted
    | HostStarted
    | HostOk
    | HostChanged
    | HostSkipped
    | HostFailed
    | HostUnreachable
    | Ended
    | Message
)

_MESSAGES = frozenset({"verbose", "debug", "warning", "system_warning", "deprecated", "error"})


def parse(record: Mapping[str, Any], project: Path | None = None) -> AnyEvent | None:
    """Make a typed event of one of ansible-runner's records; None for those that nobody needs.

    Paths below `project` become relative to it.
    """
    kind = record.get("event", "")
    data: Mapping[str, Any] = record.get("event_data") or {}
    at = _seconds(record.get("created"))
    if kind in _MESSAGES:
        text = _ANSI.sub("", record.get("stdout", "")).strip()
        return Message(at, text) if text else None
    if kind == "playbook_on_play_start":
        return PlayStarted(at, str(data.get("name", "")))
    if kind == "playbook_on_stats":
        return Ended(at, dict(data.get("changed") or {}), dict(data.get("rescued") or {}))
    if kind in {"playbook_on_task_start", "playbook_on_handler_task_start"}:
        return TaskStarted(at, _task(data, project))
    if kind.startswith("runner_on_") and "host" in data:
        return _host_event(kind, at, data, project, str(record.get("stdout", "")))
    return None


def _host_event(kind: str, at: float, data: Mapping[str, Any], project: Path | None, stdout: str) -> AnyEvent | None:
    host, task = str(data["host"]), _task(data, project)
    result: Mapping[str, Any] = data.get("res") or {}
    match kind:
        case "runner_on_start":
            return HostStarted(at, host, task)
        case "runner_on_ok":
            # A censored result has lost its `changed`; the line that Ansible prints still tells.
            secretly = "censored" in result and _CHANGED_LINE.search(_ANSI.sub("", stdout)) is not None
            changed = bool(result.get("changed")) or secretly
            return HostChanged(at, host, task, result) if changed else HostOk(at, host, task, result)
        case "runner_on_skipped":
            return HostSkipped(at, host, task)
        case "runner_on_failed":
            return HostFailed(at, host, task, result, ignored=bool(data.get("ignore_errors")))
        case "runner_on_unreachable":
            # The record does not say that the playbook ignores it; the line that Ansible prints does.
            return HostUnreachable(at, host, task, result, ignored=stdout.rstrip().endswith("...ignoring"))
    return None


def _task(data: Mapping[str, Any], project: Path | None) -> Task:
    path, _, line = str(data.get("task_path") or "").rpartition(":")
    if project is not None and path:
        path = path.removeprefix(f"{project}/")
    role = str(data.get("role") or "")
    name = str(data.get("task") or data.get("name") or "")
    written_in = _ROLE_FILE.search(path)
    return Task(
        name=name.removeprefix(f"{role} : ") if role else name,
        phase=str(data.get("play") or ""),
        role=role or (written_in["role"] if written_in else ""),
        verb=written_in["verb"] if written_in else "",
        location=f"{path}:{line}" if path else "",
    )


def _seconds(created: object) -> float:
    return datetime.fromisoformat(created).timestamp() if isinstance(created, str) else 0.0
