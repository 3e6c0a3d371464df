"""The history of runs as people read it: the list, one run, two runs beside each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from provision import render, timeline

if TYPE_CHECKING:
    from rich.console import RenderableType

    from provision.run_diff import Comparison, Pair
    from provision.state import Record

_STYLES = {"done": "green", "failed": "red", "lost": "red", "interrupted": "yellow", "declined": "yellow"}
_FEW_HOSTS = 6
"""So many hosts have a column of their own."""
_UNTOLD = "changed; the content is not recorded"
"""Of secrets, and of what tells no difference."""
Row = tuple[object, ...]


def runs(records: Sequence[Record]) -> RenderableType:
    """The history as a table."""
    if not records:
        return Text("No runs are recorded.")
    rows = [
        (record.number, record.started.replace("T", " ")[:19], record.workflow, record.mode, state(record.state),
         f"{record.seconds:.0f} s", _counted(record), record.site)
        for record in records
    ]  # fmt: skip
    return render.table(("run", "started (UTC)", "workflow", "mode", "state", "took", "changes", "site"), rows)


def run(record: Record) -> RenderableType:
    """One run: what it was, where its time went, what it changed, how it ended."""
    result = record.result
    parts: list[RenderableType] = [_head(record)]
    if phases := result.get("phases"):
        parts.append(_phases(phases))
    if steps := timeline.steps_in(result):
        parts.append(_roles(timeline.by_part(steps)))
    if hosts := result.get("hosts"):
        outcomes = ("ok", "changed", "failed", "skipped", "unreachable", "evaluated")
        rows = [(name, *(tally.get(outcome, 0) for outcome in outcomes)) for name, tally in hosts.items()]
        parts.append(render.table(("host", *outcomes), rows))
    if changes := result.get("changes"):
        parts.append(render.table(("changed on", "role", "task", "what"), list(changes_by_step(changes))))
    if drill := result.get("report"):
        parts.append(_drill(drill))
    for each in result.get("failures", []):
        parts.append(Text.assemble(("FAILED ", "bold red"), f"{each['host']}: {each['task']} ({each['location']})"))
        parts.extend(Text(f"  {line}") for line in each["words"].splitlines())
    return Group(*parts)


def _drill(report: Mapping[str, Any]) -> RenderableType:
    """What a drill measured; its own files have the timeline."""
    allowed = {goal["measure"]: f"{goal['limit']:.1f} s" for goal in report["goals"]}
    rows = [
        (each["name"], f"{each['gap']:.2f} s", allowed.get(each["name"], ""), each["failed"], each["requests"])
        for each in report["measures"]
    ]
    title = f"{report['drill']} on {report['target']}: {'passed' if report['passed'] else 'failed'}"
    return Group(Text(title), render.table(("measure", "longest gap", "allowed", "failed", "asked"), rows))


def _head(record: Record) -> RenderableType:
    table = render.table(
        ("", ""),
        [
            ("run", f"{record.number} · {record.workflow} ({record.mode})"),
            ("site", record.site),
            ("by", f"{record.user}, provision {record.version}"),
            ("started", record.started),
            ("took", f"{record.seconds:.1f} s"),
            ("state", state(record.state)),
            *([("error", record.error)] if record.error else []),
        ],
    )
    table.show_header = False
    return table


def changes_by_step(changes: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str, str, str]]:
    """The changes in their order as hosts, role, task and what; the same one on several hosts is one."""
    hosts: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for each in changes:
        hosts[(each["role"], each["task"], "\n".join(each["summary"]))].append(each["host"])
    return [("\n".join(names), role, task, what or _UNTOLD) for (role, task, what), names in hosts.items()]


def _phases(phases: Sequence[Mapping[str, Any]]) -> RenderableType:
    longest = max((phase["seconds"] for phase in phases), default=0) or 1
    rows = [
        (phase["name"], f"{phase['seconds']:.1f} s", _bar(phase["seconds"] / longest), _unless_done(phase))
        for phase in phases
    ]
    return render.table(("phase", "took", "", ""), rows)


def _unless_done(phase: Mapping[str, Any]) -> Text:
    ended = str(phase.get("state") or "done")
    return Text("") if ended == "done" else state(ended)


def _roles(parts: Mapping[str, Mapping[str, float]]) -> RenderableType:
    """Seconds by role and host; of many hosts the slowest one, beside the one in the middle."""
    hosts = list(dict.fromkeys(host for worked in parts.values() for host in worked))
    if len(hosts) <= _FEW_HOSTS:
        rows: list[Row] = [(part, *(seconds(worked.get(host)) for host in hosts)) for part, worked in parts.items()]
        return render.table(("seconds in role", *hosts), rows)
    rows = []
    for part, worked in parts.items():
        ordered = sorted(worked, key=worked.__getitem__)
        slowest, middle = ordered[-1], ordered[len(ordered) // 2]
        rows.append((part, len(worked), seconds(worked[middle]), seconds(worked[slowest]), slowest))
    return render.table(("seconds in role", "hosts", "median", "slowest", ""), rows)


def seconds(value: float | None) -> str:
    """Seconds with one decimal; nothing for what was not done."""
    return "" if value is None else f"{value:.1f}"


def _bar(share: float) -> Text:
    return Text("█" * max(1, round(share * 30)), style="cyan")


def _counted(record: Record) -> str:
    planned = " planned" if record.mode == "plan" else ""
    return f"{changes_of(record)}{planned}"


def changes_of(record: Record) -> int:
    """How many changes a run made, or a plan shows."""
    return sum(tally.get("changed", 0) for tally in (record.result.get("hosts") or {}).values())


def state(name: str) -> Text:
    """How something ended, in its colour."""
    return Text(name, style=_STYLES.get(name, "cyan"))


def comparison(compared: Comparison) -> RenderableType:
    """Two runs beside each other: what they were, where their time went, what only one of them changed."""
    names = tuple(f"run {record.number}" for record in (compared.a, compared.b))
    parts: list[RenderableType] = [
        render.table(("", *names), [(pair.name, _cell(pair.a), _cell(pair.b)) for pair in compared.options]),
        render.table(("phase", *names, "difference"), [_timed(pair) for pair in compared.phases]),
        render.table(("host", *(f"{name}: {what}" for name in names for what in ("changes", "failures", "busy"))),
                     [(host, *_host(a), *_host(b)) for host, a, b in compared.hosts]),
    ]  # fmt: skip
    for name, only in zip(names, (compared.only_a, compared.only_b), strict=True):
        if only:
            title = f"changed only in {name}"
            parts.append(render.table(("changed on", "role", "task", "what"), list(changes_by_step(only)), title=title))
    if not (compared.only_a or compared.only_b):
        parts.append(Text("Both changed the same."))
    return Group(*parts)


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _timed(pair: Pair) -> Row:
    a, b = pair.a, pair.b
    if not isinstance(a, float) or not isinstance(b, float):
        return (pair.name, seconds(a), seconds(b), "")
    style = "red" if b - a > max(1.0, a / 10) else "green" if a - b > max(1.0, a / 10) else ""
    return (pair.name, seconds(a), seconds(b), Text(f"{b - a:+.1f}", style=style))


def _host(figures: Mapping[str, float] | None) -> Row:
    if figures is None:
        return ("", "", "")
    return (int(figures["changed"]), int(figures["failed"]), seconds(figures["busy"]))
