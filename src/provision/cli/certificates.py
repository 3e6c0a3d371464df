"""`provision certificates`: how long every certificate lasts, and `provision certificates renew`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from provision import render
from provision.cli.options import TEXT, Inventory, OptionalInventory, Output, Verbose
from provision.cli.running import ExitCode, Plan, Resume, Strategy, StrategyOption, Without, Yes, execute, finish, names
from provision.errors import HostUnreachable, UsageError, VerifyFailed

app = typer.Typer(invoke_without_command=True)

Within = Annotated[
    int | None, typer.Option("--within", metavar="DAYS", min=1, help="Renew only what ends within so many days.")
]


@app.callback()
def certificates(
    context: typer.Context,
    inventory: OptionalInventory = None,
    strategy: StrategyOption = Strategy.MITOGEN,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Show how many days every certificate on every node has left; ends with 7 when one is due.

    Due is what ends within 30 days. An authority is warned of a year ahead.

    Examples:

        provision certificates -i site.ini

        provision certificates renew -i site.ini --within 90
    """
    if context.invoked_subcommand:
        return
    if inventory is None:
        raise UsageError("name the site", hint="provision certificates -i SITE, or set PROVISION_INVENTORY")
    from provision import reports_certificates

    done = execute("certificates", inventory, strategy=strategy)
    found = done.result.status
    if found is None:
        finish(done)
        return
    kind = VerifyFailed if found["reached"] else HostUnreachable
    error = kind("; ".join(str(problem["message"]) for problem in found["problems"])) if found["problems"] else None
    document = {**found, "error": error.as_dict() if error else None}
    render.emit(document, lambda: reports_certificates.certificates(found))
    if error is not None:
        raise typer.Exit(error.exit_code)


@app.command()
def renew(
    inventory: Inventory,
    within: Within = None,
    plan: Plan = False,
    yes: Yes = False,
    exit_code: ExitCode = False,
    resume: Resume = False,
    without: Without = None,
    strategy: StrategyOption = Strategy.MITOGEN,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Renew the certificates of the cluster, one host at a time; the API goes on, authorities stay.

    Works also when certificates have ended already. Ends with a check that really uses the cluster.

    Examples:

        provision certificates renew -i site.ini --within 90 --plan

        provision certificates renew -i site.ini --yes
    """
    if exit_code and not plan:
        raise UsageError("--exit-code goes with --plan")
    # A resumed run leaves what the one before it renewed: it takes over that one's beginning.
    inputs = {} if resume else {"run_since": int(time.time())}
    finish(
        execute(
            "certificates renew",
            inventory,
            strategy=strategy,
            plan_only=plan,
            yes=yes,
            exit_code=exit_code,
            resume=resume,
            without=names(without),
            inputs={**inputs, **({"run_within": within} if within else {})},
        )
    )
