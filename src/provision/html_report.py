"""A run as one page that needs nothing else: opened from disk, sent by mail, kept with a change request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from provision import pages, reports_runs, run_picture, timeline
from provision.state import Record
from provision.timeline import Step

_SLOWEST = 12
_OUTCOMES = ("ok", "changed", "failed", "interrupted")


def page(record: Record) -> str:
    """The page of a run."""
    steps = timeline.steps_in(record.result)
    title = f"Run {record.number}: {record.workflow}"
    parts = (
        *_head(record, title),
        *_failures(record),
        *_timeline(steps),
        *_phases(record.result.get("phases", [])),
        *_roles(steps),
        *_slowest(steps),
        *_hosts(record.result.get("hosts") or {}, timeline.busy(steps)),
        *_changes(record.result.get("changes", [])),
    )
    return pages.page(title, parts)


def _head(record: Record, title: str) -> Iterator[str]:
    mode = " (plan)" if record.mode == "plan" else ""
    yield f"<h1>{escape(title)}{mode}</h1>"
    yield f'<div class="dim">{escape(record.site)} · {escape(record.started)} · {escape(record.user)}'
    yield f" · provision {escape(record.version)}</div>"
    figures = (
        ("state", f'<span class="{escape(record.state)}">{escape(record.state)}</span>'),
        ("took", f"{record.seconds:.1f} s"),
        ("hosts", str(len(record.result.get("hosts") or {}))),
        ("changes planned" if mode else "changes", str(reports_runs.changes_of(record))),
        ("failures", str(len(record.result.get("failures", [])))),
    )
    yield '<div class="figures">'
    yield from (f"<div><b>{value}</b>{name}</div>" for name, value in figures)
    yield "</div>"
    if record.error not in ("", record.state):
        yield f'<div class="card failure">{escape(record.error)}</div>'


def _failures(record: Record) -> Iterator[str]:
    failures = record.result.get("failures", [])
    if failures:
        yield "<h2>Failures</h2>"
    for each in failures:
        step = f"{each['role']}: {each['task']}" if each["role"] else each["task"]
        yield f'<div class="card failure"><b>{escape(each["host"])}</b> · {escape(step)}'
        yield f'<div class="dim">{escape(each["location"])}</div>'
        problems = [f"{one['check']}: {one['message']}" for one in each.get("problems", [])]
        yield f"<pre>{escape(chr(10).join([each['words'], *problems]))}</pre></div>"


def _timeline(steps: Sequence[Step]) -> Iterator[str]:
    yield "<h2>Timeline</h2>"
    if not steps:
        yield '<div class="card dim">Nothing was done on a host, or the run was recorded without its steps.</div>'
        return
    yield f'<div class="card">{run_picture.svg(steps)}'
    yield '<div class="legend">'
    yield from (f'<span><i style="background: var(--{name})"></i>{name}</span>' for name in _OUTCOMES)
    yield "<span>Rest the pointer on a bar to see what it was.</span></div></div>"


def _phases(phases: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    longest = max((phase["seconds"] for phase in phases), default=0) or 1
    rows = [
        (
            escape(phase["name"]),
            _seconds(phase["seconds"]),
            f'<span class="share" style="width: {100 * phase["seconds"] / longest:.0f}%"></span>',
            _state(str(phase.get("state") or "done")),
        )
        for phase in phases
    ]
    yield from _section("Phases", ("phase", "#seconds", "", "ended"), rows)


def _roles(steps: Sequence[Step]) -> Iterator[str]:
    hosts = list(dict.fromkeys(step.host for step in steps))
    rows = [
        (escape(part), *(_seconds(worked.get(host)) for host in hosts))
        for part, worked in timeline.by_part(steps).items()
    ]
    yield from _section("Seconds by role and host", ("role", *(f"#{host}" for host in hosts)), rows)


def _slowest(steps: Sequence[Step]) -> Iterator[str]:
    longest = sorted(steps, key=lambda step: step.seconds, reverse=True)[:_SLOWEST]
    rows = [
        (_seconds(step.seconds), escape(step.host), escape(step.part), escape(step.task.name), _state(step.outcome))
        for step in longest
    ]
    yield from _section("Slowest steps", ("#seconds", "host", "role", "task", "ended"), rows)


def _hosts(hosts: Mapping[str, Mapping[str, int]], busy: Mapping[str, float]) -> Iterator[str]:
    outcomes = ("ok", "changed", "failed", "skipped", "unreachable")
    rows = [
        (escape(name), _seconds(busy.get(name)), *(_number(tally.get(outcome, 0)) for outcome in outcomes))
        for name, tally in hosts.items()
    ]
    yield from _section("Tasks by host", ("host", "#busy seconds", *(f"#{outcome}" for outcome in outcomes)), rows)


def _changes(changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = [tuple(escape(cell) for cell in row) for row in reports_runs.changes_by_step(changes)]
    yield from _section("Changes", ("changed on", "role", "task", "what"), rows)


def _section(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of cells that are HTML already; the name of a column of numbers begins with #."""
    lines = list(rows)
    if not lines:
        return
    kinds = ['class="number"' if name.startswith("#") else "" for name in columns]
    yield f'<h2>{escape(title)}</h2>\n<div class="card"><table>'
    yield _row("th", kinds, [escape(name.removeprefix("#")) for name in columns])
    yield from (_row("td", kinds, cells) for cells in lines)
    yield "</table></div>"


def _row(element: str, kinds: Sequence[str], cells: Sequence[str]) -> str:
    joined = "".join(
        f"<{f'{element} {kind}'.strip()}>{cell}</{element}>" for kind, cell in zip(kinds, cells, strict=True)
    )
    return f"<tr>{joined}</tr>"


def _state(name: str) -> str:
    return f'<span class="{escape(name)}">{escape(name)}</span>'


def _seconds(value: float | None) -> str:
    return reports_runs.seconds(value)


def _number(value: int) -> str:
    return str(value) if value else '<span class="dim">0</span>'
