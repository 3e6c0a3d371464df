"""`provision cluster`, `preflight` and `status`: the commands that run a playbook."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from provision import render
from provision.cli import app
from provision.cli.options import TEXT, Inventory, Output, Verbose
from provision.errors import HostUnreachable, UsageError, VerifyFailed

if TYPE_CHECKING:
    from pathlib import Path

    from provision.inventory import Site
    from provision.results import RunResult
    from provision.workflows import Outcome


class Strategy(StrEnum):
    """How Ansible reaches the machines."""

    MITOGEN = "mitogen"
    LINEAR = "linear"


StrategyOption = Annotated[
    Strategy,
    typer.Option(envvar="PROVISION_STRATEGY", help="mitogen is several times faster; linear is Ansible's own."),
]


@app.command(rich_help_panel="Cluster")
def cluster(
    inventory: Inventory,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be done on each host; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changing.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="With --plan: end with 10 if something is to do.")
    ] = False,
    strategy: StrategyOption = Strategy.MITOGEN,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Make the machines of the site one highly available cluster, or bring it to what the site says now.

    Checks the site and the machines, shows what it is going to do and asks, does it phase by phase, and ends with a
    check that really uses the cluster. A second run changes nothing.

    Examples:

        provision cluster -i site.ini --plan

        provision cluster -i site.ini --yes
    """
    from provision import workflows

    if exit_code and not plan:
        raise UsageError("--exit-code goes with --plan", hint=f"provision cluster -i {inventory} --plan --exit-code")
    request = workflows.Request(
        workflows.WORKFLOWS["cluster"], inventory, plan_only=plan, yes=yes, exit_code=exit_code, strategy=strategy.value
    )
    _finish(workflows.execute(request, _show_plan))


@app.command(rich_help_panel="Cluster")
def preflight(
    inventory: Inventory, strategy: StrategyOption = Strategy.MITOGEN, output: Output = TEXT, verbose: Verbose = 0
) -> None:
    """Look at the machines and say whether they are fit for the cluster; changes nothing.

    Example:

        provision preflight -i site.ini
    """
    _finish(_read("preflight", inventory, strategy))


@app.command(rich_help_panel="Cluster")
def status(
    inventory: Inventory, strategy: StrategyOption = Strategy.MITOGEN, output: Output = TEXT, verbose: Verbose = 0
) -> None:
    """Show nodes, API, etcd, certificates and what differs from the site; ends with 7 when something needs care.

    Examples:

        provision status -i site.ini

        provision status -i site.ini --output json | jq .etcd
    """
    from provision import reports

    done = _read("status", inventory, strategy)
    if done.result.status is None:
        _finish(done)
        return
    # Dead machines are part of the status, and no reason not to show it.
    found = done.result.status
    messages = [str(problem.get("message", "")) for problem in found.get("problems") or []]
    kind = VerifyFailed if found.get("reached", True) else HostUnreachable
    error = kind("; ".join(messages)) if messages else None
    document = {**found, "healthy": error is None, "error": error.as_dict() if error else None}
    render.emit(document, lambda: reports.status(found))
    if error is not None:
        raise typer.Exit(error.exit_code)


def _read(name: str, inventory: Path, strategy: Strategy) -> Outcome:
    """Run a workflow that only reads."""
    from provision import workflows

    request = workflows.Request(workflows.WORKFLOWS[name], inventory, strategy=strategy.value)
    return workflows.execute(request, _show_plan)


def _show_plan(site: Site, plan: RunResult) -> None:
    from provision import reports

    if not render.is_json():
        render.show(reports.site(site))
        render.show(reports.plan(plan))


def _finish(done: Outcome) -> None:
    """Give the outcome and end with its exit code."""
    from provision import reports

    render.emit(done.as_dict(), lambda: reports.outcome(done))
    if done.error is not None:
        render.error(done.error)
        raise typer.Exit(done.error.exit_code)
