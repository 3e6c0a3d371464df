"""Results as people read them: the plan, the failures, the summary, the status table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from provision import render
from provision.outcome import meaning_of, words_of
from provision.results import Change, Failure, Problem, RunResult, problems_in

if TYPE_CHECKING:
    from rich.console import RenderableType

    from provision.inventory import Site
    from provision.workflows import Outcome

NOTHING_TO_DO = "Nothing to do: every host is as the site describes it."


def plan(result: RunResult) -> RenderableType:
    """What would be done, by hosts; hosts with the same work stand together. With `--verbose` the differences too."""
    if not result.changes:
        return Text(NOTHING_TO_DO, style="green")
    work: dict[str, list[Change]] = defaultdict(list)
    for change in result.changes:
        work[change.host].append(change)
    alike: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for host, changes in work.items():
        alike[tuple((change.task, change.summary) for change in changes)].append(host)
    blocks = [_host_block(hosts, work[hosts[0]]) for hosts in alike.values()]
    head = f"{number(len(result.changes), 'change')} on {number(len(work), 'host')}"
    return Group(Text(head, style="bold"), *blocks)


def _host_block(hosts: Sequence[str], changes: Sequence[Change]) -> RenderableType:
    each = " each" if len(hosts) > 1 else ""
    lines = [Text.assemble("\n", (", ".join(hosts), "bold cyan"), (f"  {number(len(changes), 'change')}{each}", "dim"))]
    for change in changes:
        step = f"{change.task.role}: {change.task.name}" if change.task.role else change.task.name
        lines.append(Text(f"  ~ {step}"))
        lines.extend(Text(f"      {line}", style="dim") for line in change.summary)
        if render.verbosity() and change.diff:
            lines.extend(_diff_line(line) for line in change.diff.splitlines())
    return Group(*lines)


def _diff_line(line: str) -> Text:
    style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "dim")
    return Text(f"        {line}", style=style)


def failures(result: RunResult) -> RenderableType:
    """A block for each failure: where, what, and the tool's last words. The same failure of several hosts is one."""
    alike: dict[tuple[object, ...], list[Failure]] = defaultdict(list)
    for failure in result.failures:
        alike[(failure.task, words_of(failure), failure.problems)].append(failure)
    return Group(*(_failure_block(same) for same in alike.values()))


def _failure_block(same: Sequence[Failure]) -> RenderableType:
    failure = same[0]
    hosts = ", ".join(dict.fromkeys(each.host for each in same))
    lines = [Text.assemble("\n", ("FAILED ", "bold red"), (hosts, "bold"))]
    if failure.problems:
        for problem in failure.problems:
            lines.append(_field(problem.check, problem.message))
            if problem.hint:
                lines.append(_field("", f"→ {problem.hint}"))
        return Group(*lines)
    task = failure.task
    meaning, hint = meaning_of(failure)
    if not failure.unreachable:
        role = f"{task.role} ({task.verb})" if task.verb else task.role
        lines += [_field("role", role), _field("task", task.name), _field("at", task.location)]
    lines.append(_field("because", meaning))
    lines += [_field("said" if not index else "", line) for index, line in enumerate(words_of(failure).splitlines())]
    lines.append(_field("fix", hint))
    return Group(*(line for line in lines if line.plain.strip()))


def _field(name: str, value: str) -> Text:
    return Text.assemble((f"  {name:<10}", "dim"), value) if value else Text("")


def outcome(done: Outcome) -> RenderableType:
    """How a run ended: the failures, or one line on what was done."""
    result = done.result
    parts = [_problem_line("warning", warning) for warning in result.warnings]
    if result.failures:
        return Group(*parts, failures(result), Text(""))
    if done.error is not None or result.check:
        return Group(*parts)
    if done.request.workflow.name == "preflight":
        return Group(*parts, Text(f"{number(len(result.hosts), 'host')}: fit for the cluster.", style="green"))
    return Group(*parts, _summary(result, done.seconds))


def _problem_line(label: str, problem: Problem) -> Text:
    return Text.assemble(
        (f"{label}: ", "yellow"), problem.message, (f"  → {problem.hint}" if problem.hint else "", "dim")
    )


def site(described: Site) -> RenderableType:
    """What stands above a plan: the site, and the names that were taken from Kubespray's inventory.

    Those that ask for what is done anyway are counted, and named with `--verbose`.
    """
    lines = [Text.assemble(("Plan for ", "bold"), str(described.path))]
    lines += [
        Text(f"  {use.name} taken as {use.own} = {use.value}", style="dim") for use in described.aliases if use.own
    ]
    idle = [use for use in described.aliases if not use.own]
    if idle and render.verbosity():
        lines += [Text(f"  {use.name} = {use.value} is not needed here{_why(use.note)}", style="dim") for use in idle]
    elif idle:
        verb = "is" if len(idle) == 1 else "are"
        lines.append(
            Text(
                f"  {number(len(idle), 'name')} of Kubespray {verb} not needed here (--verbose names them)",
                style="dim",
            )
        )
    return Group(*lines)


def _why(note: str) -> str:
    return f": {note}" if note else ""


def _summary(result: RunResult, seconds: float) -> RenderableType:
    changed = len(result.changed_hosts)
    changes = sum(tally.changed for tally in result.hosts.values())
    evaluated = sum(tally.evaluated for tally in result.hosts.values())
    what = f"{number(changes, 'change')} on {number(changed, 'host')}" if changes else "nothing had to be changed"
    return Text.assemble(("Done", "bold green"), f" in {seconds:.1f} s: {what} ", (f"({evaluated} tasks)", "dim"))


def number(count: int, thing: str) -> str:
    """A count with its noun: `1 host`, `2 hosts`."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def status(found: Mapping[str, Any]) -> RenderableType:
    """The health of a cluster: nodes, the ways to the API, etcd, certificates, what differs from the site."""
    parts: list[RenderableType] = []
    if nodes := found.get("nodes"):
        parts.append(
            render.table(("node", "roles", "ready", "version", "address", "taints"), [_node(node) for node in nodes])
        )
    facts = [
        *_api_facts(found),
        *_etcd_facts(found.get("etcd") or {}),
        *_certificate_facts(found.get("certificates") or []),
        *_backup_facts(found.get("backup") or {}),
    ]
    if versions := found.get("versions"):
        facts.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    facts += [("differs", _difference(entry)) for entry in found.get("drift") or []]
    if facts:
        table = render.table(("", ""), facts)
        table.show_header = False
        parts.append(table)
    problems = problems_in(found.get("problems"))
    parts += [_problem_line("problem", problem) for problem in problems]
    if not problems:
        parts.append(Text("The cluster is healthy.", style="bold green"))
    return Group(*parts)


def _node(node: Mapping[str, Any]) -> tuple[object, ...]:
    ready = Text("yes", style="green") if node.get("ready") else Text("no", style="bold red")
    roles, taints = ", ".join(node.get("roles") or ["worker"]), ", ".join(node.get("taints") or [])
    return (node.get("name", ""), roles, ready, node.get("version", ""), node.get("address", ""), taints)


def _api_facts(found: Mapping[str, Any]) -> list[tuple[str, object]]:
    api, vip = found.get("api") or {}, found.get("vip") or {}
    facts: list[tuple[str, object]] = []
    if api:
        facts.append(
            ("API", f"{api.get('endpoint', '')} ({'answers' if api.get('ready', True) else 'does not answer'})")
        )
    if vip.get("address"):
        facts.append(("VIP", f"{vip['address']} on {vip.get('holder') or 'no machine'}"))
    return facts


def _etcd_facts(etcd: Mapping[str, Any]) -> list[tuple[str, object]]:
    if not etcd:
        return []
    members = etcd.get("members") or []
    healthy = sum(bool(member.get("healthy", True)) for member in members)
    size = f"{float(etcd.get('db_size') or 0) / 2**20:.1f} MiB"
    alarms = ", ".join(etcd.get("alarms") or []) or "no alarms"
    leader = etcd.get("leader") or "no leader"
    return [("etcd", f"{healthy} of {number(len(members), 'member')} healthy, leader {leader}, {size}, {alarms}")]


def _backup_facts(backup: Mapping[str, Any]) -> list[tuple[str, object]]:
    if backup.get("age_hours") is None:
        return []
    return [("backup", f"{backup['age_hours']} hours ago, on {backup['host']}")]


def _certificate_facts(certificates: Sequence[Mapping[str, Any]]) -> list[tuple[str, object]]:
    if not certificates:
        return []
    first = min(certificates, key=lambda one: float(one.get("days_left", 0)))
    days, name, host = float(first.get("days_left", 0)), first.get("name"), first.get("host")
    return [("certificates", f"the first of {len(certificates)} ends in {days:.0f} days ({name} on {host})")]


def _difference(entry: object) -> str:
    return f"{entry.get('host')}: {entry.get('what')}" if isinstance(entry, Mapping) else str(entry)
