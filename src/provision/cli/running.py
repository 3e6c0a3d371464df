"""What the commands that run a workflow share: their options, and how they show what happened."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provision import render
from provision.cli.options import host_names

if TYPE_CHECKING:
    from pathlib import Path

    from provision.inventory import Site
    from provision.results import RunResult
    from provision.workflows import Outcome


class Strategy(StrEnum):
    """How Ansible reaches the machines."""

    MITOGEN = "mitogen"
    LINEAR = "linear"


Plan = Annotated[bool, typer.Option("--plan", help="Show what would be done on each host; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changing.")]
YesByName = Annotated[
    str | None,
    typer.Option("--yes", "-y", metavar="CLUSTER", help="Do not ask: the name of the cluster, as agreement."),
]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="With --plan: end with 10 if something is to do.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the last run of this command that was broken off or failed.")
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="HOST",
        autocompletion=host_names,
        help="Go on without this dead host; may be given again, or a,b.",
    ),
]
StrategyOption = Annotated[
    Strategy,
    typer.Option(envvar="PROVISION_STRATEGY", help="mitogen is several times faster; linear is Ansible's own."),
]


def names(given: list[str] | None) -> tuple[str, ...]:
    """Host names of a repeatable option or argument, each of which may be several joined by commas."""
    return tuple(dict.fromkeys(name for each in given or () for name in each.split(",") if name))


def execute(workflow: str, inventory: Path, *, strategy: Strategy = Strategy.MITOGEN, **wanted: Any) -> Outcome:
    """Run a workflow with the fields of `workflows.Request`."""
    from provision import workflows

    request = workflows.Request(workflows.WORKFLOWS[workflow], inventory, strategy=strategy.value, **wanted)
    return workflows.execute(request, _show_plan)


def finish(done: Outcome) -> None:
    """Give the outcome and end with its exit code."""
    from provision import reports

    render.emit(done.as_dict(), lambda: reports.outcome(done))
    if done.error is not None:
        render.error(done.error)
        raise typer.Exit(done.error.exit_code)


def _show_plan(site: Site, plan: RunResult) -> None:
    from provision import reports

    if not render.is_json():
        render.show(reports.site(site))
        render.show(reports.plan(plan))
