"""`provision reset`: take everything off the machines again."""

from __future__ import annotations

from typing import Annotated

import typer

from provision.cli import app
from provision.cli.backup import To
from provision.cli.options import TEXT, Inventory, Output, Verbose
from provision.cli.running import (
    Plan,
    Resume,
    Strategy,
    StrategyOption,
    Without,
    YesByName,
    execute,
    finish,
    names,
)

NoBackup = Annotated[bool, typer.Option("--no-backup", help="Make no last backup, or none can be made.")]


@app.command(rich_help_panel="Cluster")
def reset(
    inventory: Inventory,
    no_backup: NoBackup = False,
    to: To = None,
    plan: Plan = False,
    yes: YesByName = None,
    resume: Resume = False,
    without: Without = None,
    strategy: StrategyOption = Strategy.MITOGEN,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Remove the cluster and all that was installed for it from every machine of the site.

    A cluster that works is backed up first. The machines can be provisioned again afterwards.

    Examples:

        provision reset -i site.ini --plan

        provision reset -i site.ini --without worker3 --yes prod
    """
    inputs: dict[str, object] = {"run_backup": False} if no_backup else {}
    if to:
        inputs["run_backup_to"] = str(to.expanduser().absolute())
    finish(
        execute(
            "reset",
            inventory,
            strategy=strategy,
            plan_only=plan,
            approved=yes,
            resume=resume,
            without=names(without),
            inputs=inputs,
        )
    )
