"""The events of a run, reduced to what people and programs want to know: the plan, and the result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from provision import timeline, words
from provision.events import (
    AnyEvent,
    Ended,
    HostChanged,
    HostFailed,
    HostOk,
    HostResult,
    HostSkipped,
    HostStarted,
    HostUnreachable,
    Message,
    PlayStarted,
    Task,
    TaskStarted,
)

_VERIFY = "provision_verify"
_PROBLEMS = "provision_problems"
_WARNINGS = "warnings_found"
_STATUS = "provision_status"
_PROBLEM_KEYS = ("check", "message", "hint")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that was changed on a host, or in a plan: would be."""

    host: str
    task: Task
    summary: tuple[str, ...] = ()
    """One line for each file or value."""
    diff: str = ""
    """The whole difference; shown with `--verbose`, never recorded."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a machine was refused, or a cluster is not healthy."""

    check: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that failed on a host."""

    host: str
    task: Task
    words: str
    """The tool's own last words."""
    unreachable: bool = False
    problems: tuple[Problem, ...] = ()
    verifying: bool = False
    """Everything was done, but the cluster does not pass its check."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many tasks a host evaluated, by outcome; each task counts once."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    skipped: int = 0
    unreachable: int = 0

    @property
    def evaluated(self) -> int:
        """All tasks that cost this host time, the skipped ones among them."""
        return self.ok + self.changed + self.failed + self.skipped + self.unreachable


@dataclass(frozen=True, slots=True)
class Span:
    """How long a phase or a role took, in seconds."""

    name: str
    seconds: float
    state: str = "done"
    """`failed` when a task of it failed, `interrupted` when the run was broken off in it."""


@dataclass(frozen=True)
class RunResult:
    """What a playbook did, or in check mode would do."""

    check: bool = False
    hosts: Mapping[str, Tally] = field(default_factory=dict)
    phases: tuple[Span, ...] = ()
    roles: tuple[Span, ...] = ()
    changes: tuple[Change, ...] = ()
    failures: tuple[Failure, ...] = ()
    warnings: tuple[Problem, ...] = ()
    """What the check of the machines found worth saying, but no reason to stop."""
    messages: tuple[str, ...] = ()
    """The last that Ansible said outside any task: why a playbook cannot be run, a missing file."""
    status: Mapping[str, Any] | None = None
    """What the status playbook found."""
    steps: tuple[timeline.Step, ...] = ()
    """What each host did when."""

    @property
    def changed_hosts(self) -> tuple[str, ...]:
        """The hosts with changes, in the order of the inventory's work."""
        return tuple(name for name, tally in self.hosts.items() if tally.changed)

    def as_dict(self) -> dict[str, Any]:
        """The result for JSON and the run's record: without the bodies of differences, and without secrets."""
        return {**words.cleaned(self._told()), "timeline": timeline.recorded(self.steps)}

    def _told(self) -> dict[str, Any]:
        return {
            "hosts": {name: {**asdict(tally), "evaluated": tally.evaluated} for name, tally in self.hosts.items()},
            "phases": [asdict(span) for span in self.phases],
            "roles": [asdict(span) for span in self.roles],
            "changes": [_flat(change.host, change.task, summary=list(change.summary)) for change in self.changes],
            "failures": [
                _flat(
                    failure.host,
                    failure.task,
                    words=failure.words,
                    unreachable=failure.unreachable,
                    problems=[asdict(problem) for problem in failure.problems],
                )
                for failure in self.failures
            ],
            "warnings": [asdict(warning) for warning in self.warnings],
            "messages": list(self.messages),
        }


def _flat(host: str, task: Task, **more: Any) -> dict[str, Any]:
    named = {"phase": task.phase, "role": task.role, "verb": task.verb, "task": task.name, "location": task.location}
    return {"host": host, **named, **more}


class Reducer:
    """Takes the events of one playbook in their order and gives the result so far at any moment."""

    def __init__(self, order: Sequence[str] = (), *, check: bool = False) -> None:
        """`order` is that of the hosts in the result; events come in any."""
        self._order = {host: place for place, host in enumerate(order)}
        self._check = check
        self._tallies: dict[str, Tally] = {}
        self._phases: list[Span] = []
        self._roles: dict[str, float] = defaultdict(float)
        self._changes: list[Change] = []
        self._failures: list[Failure] = []
        self._warnings: dict[Problem, None] = {}
        self._messages: list[str] = []
        self._status: Mapping[str, Any] | None = None
        self._phase_since: tuple[str, float] | None = None
        self._phase_used = False
        self._role_since: tuple[str, float] | None = None
        self._recorder = timeline.Recorder()

    def add(self, event: AnyEvent) -> None:
        """Count one event."""
        self._recorder.add(event)
        match event:
            case PlayStarted(at, name):
                self._close(at)
                self._phase_since, self._phase_used = (name, at), False
            case TaskStarted(at, task):
                self._close_role(at)
                self._role_since = (task.role or task.phase, at)
            case HostStarted():
                self._phase_used = True
            case HostResult():
                self._add_result(event)
            case Message(_, text):
                self._messages = [*self._messages, words.without_secrets(text)][-words.LAST_LINES :]
            case Ended(at):
                self._close(at)
                self._correct(event)

    def result(self) -> RunResult:
        """The result of all events so far."""
        roles = [Span(name, round(took, 2)) for name, took in self._roles.items()]
        return RunResult(
            check=self._check,
            hosts=dict(sorted(self._tallies.items(), key=lambda entry: self._place(entry[0]))),
            phases=tuple(_judged(self._phases, {failure.task.phase for failure in self._failures})),
            roles=tuple(_judged(roles, {failure.task.role or failure.task.phase for failure in self._failures})),
            changes=tuple(sorted(self._changes, key=lambda change: self._place(change.host))),
            failures=tuple(sorted(self._failures, key=lambda failure: self._place(failure.host))),
            warnings=tuple(self._warnings),
            messages=tuple(self._messages),
            status=self._status,
            steps=tuple(sorted(self._recorder.steps, key=lambda step: (self._place(step.host), step.start))),
        )

    def close(self, at: float) -> None:
        """End at `at` a run whose end was never told; a phase that is still open was broken off."""
        self._recorder.close(at)
        self._close(at, "interrupted")

    def _place(self, host: str) -> int:
        return self._order.get(host, len(self._order))

    def _add_result(self, event: HostResult) -> None:
        self._phase_used = True
        if isinstance(event.result.get(_STATUS), Mapping):
            self._status = event.result[_STATUS]
        self._warnings.update(dict.fromkeys(problems_in(event.result.get(_WARNINGS))))
        match event:
            case HostOk():
                self._count(event.host, "ok")
            case HostSkipped():
                self._count(event.host, "skipped")
            case HostChanged(_, host, task, result):
                self._count(host, "changed")
                self._changes.append(Change(host, task, words.diff_summary(result), words.diff_text(result)))
            case HostFailed(_, host, _, _, ignored):
                self._count(host, "ok" if ignored else "failed")
                if not ignored:
                    self._failures.append(failure_of(event))
            case HostUnreachable(_, host, _, _, ignored):
                self._count(host, "ok" if ignored else "unreachable")
                if not ignored:
                    self._failures.append(failure_of(event))

    def _count(self, host: str, outcome: str) -> None:
        tally = self._tallies.get(host, Tally())
        self._tallies[host] = replace(tally, **{outcome: getattr(tally, outcome) + 1})

    def _correct(self, ended: Ended) -> None:
        """Take the changes that only Ansible's own count knows about: a rescued task's, a hidden loop's."""
        for host, count in ended.changed.items():
            tally = self._tallies.get(host, Tally())
            missing = count - tally.changed
            if missing > 0:
                self._tallies[host] = replace(tally, changed=count, ok=max(0, tally.ok - missing))
        # A host goes on after a rescued failure and stops at one that stands: the rescued ones are its first.
        left = dict(ended.rescued)
        standing = []
        for failure in self._failures:
            if left.get(failure.host, 0) > 0:
                left[failure.host] -= 1
            else:
                standing.append(failure)
        self._failures = standing

    def _close(self, at: float, state: str = "done") -> None:
        self._close_role(at)
        if self._phase_since is not None:
            name, since = self._phase_since
            if self._phase_used:  # one that has no hosts at this site is not worth telling
                # A play that takes its hosts by batches begins once for each: they are one phase.
                before = self._phases.pop().seconds if self._phases and self._phases[-1].name == name else 0.0
                self._phases.append(Span(name, round(before + max(0.0, at - since), 2), state))
            self._phase_since = None

    def _close_role(self, at: float) -> None:
        if self._role_since is not None:
            name, since = self._role_since
            self._roles[name] += max(0.0, at - since)
            self._role_since = None


def _judged(spans: Sequence[Span], failed: AbstractSet[str]) -> Iterator[Span]:
    """The spans; those that came to an end, but with a failure in them, are marked so."""
    for span in spans:
        yield replace(span, state="failed") if span.state == "done" and span.name in failed else span


def failure_of(event: HostFailed | HostUnreachable) -> Failure:
    """The failure that an event tells of."""
    problems = problems_in(event.result.get(_PROBLEMS))
    verifying = bool(event.result.get(_VERIFY)) or event.task.phase.lower().startswith("verify")
    # The action plugin `answering` ends a run in the words of an attempt that was passed over before.
    unreachable = isinstance(event, HostUnreachable) or bool(event.result.get("unreachable"))
    return Failure(event.host, event.task, words.last_words(event.result), unreachable, problems, verifying)


def problems_in(told: Any) -> tuple[Problem, ...]:
    """The problems in a module's result: `[{check, message, hint}]`."""
    entries = [entry for entry in told or [] if isinstance(entry, Mapping)]
    return tuple(
        Problem(*(words.without_secrets(str(entry.get(key) or "")) for key in _PROBLEM_KEYS)) for entry in entries
    )
