"""`provision cluster`, `preflight` and `status`: the commands that run a playbook."""

from __future__ import annotations

import typer

from provision import render
from provision.cli import app
from provision.cli.options import TEXT, Inventory, Output, Verbose
from provision.cli.running import ExitCode, Plan, Resume, Strategy, StrategyOption, Without, Yes, execute, finish, names
from provision.errors import HostUnreachable, UsageError, VerifyFailed


@app.command(rich_help_panel="Cluster")
def cluster(
    inventory: Inventory,
    plan: Plan = False,
    yes: Yes = False,
    exit_code: ExitCode = False,
    resume: Resume = False,
    without: Without = None,
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
    if exit_code and not plan:
        raise UsageError("--exit-code goes with --plan", hint=f"provision cluster -i {inventory} --plan --exit-code")
    finish(
        execute(
            "cluster",
            inventory,
            strategy=strategy,
            plan_only=plan,
            yes=yes,
            exit_code=exit_code,
            resume=resume,
            without=names(without),
        )
    )


@app.command(rich_help_panel="Cluster")
def preflight(
    inventory: Inventory, strategy: StrategyOption = Strategy.MITOGEN, output: Output = TEXT, verbose: Verbose = 0
) -> None:
    """Look at the machines and say whether they are fit for the cluster; changes nothing.

    Example:

        provision preflight -i site.ini
    """
    finish(execute("preflight", inventory, strategy=strategy))


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

    done = execute("status", inventory, strategy=strategy)
    if done.result.status is None:
        finish(done)
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
