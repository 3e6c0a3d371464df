"""`provision backup` and `provision restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provision import render
from provision.cli import app
from provision.cli.options import TEXT, Inventory, Output, Verbose
from provision.cli.running import (
    Plan,
    Resume,
    Strategy,
    StrategyOption,
    Without,
    Yes,
    YesByName,
    execute,
    finish,
    names,
)
from provision.errors import PreflightRefused

To = Annotated[
    Path | None, typer.Option("--to", metavar="DIR", help="Bring it there; by default to your state directory.")
]
File = Annotated[
    str | None,
    typer.Argument(
        metavar="[BACKUP]", help="The backup, a file or its URL in S3; by default your newest of this cluster."
    ),
]
Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The recipient's key; by default your own.")]


@app.command(rich_help_panel="Cluster")
def backup(
    inventory: Inventory,
    to: To = None,
    plan: Plan = False,
    yes: Yes = False,
    without: Without = None,
    strategy: StrategyOption = Strategy.MITOGEN,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Back the cluster up: etcd, its keys and settings, encrypted, on each control plane and on this machine.

    Examples:

        provision backup -i site.ini --yes

        provision backup -i site.ini --yes --to /mnt/backups
    """
    from provision import backups

    inputs = {"run_backup_to": str(to.expanduser().absolute())} if to else {}
    done = execute(
        "backup", inventory, strategy=strategy, plan_only=plan, yes=yes, without=names(without), inputs=inputs
    )
    if done.error is None and not done.result.check:
        made = next(backups.known(str(done.site.setting("cluster_name")), to), None)
        render.info(f"the backup is {made}")
    finish(done)


@app.command(rich_help_panel="Cluster")
def restore(
    inventory: Inventory,
    file: File = None,
    key: Key = None,
    plan: Plan = False,
    yes: YesByName = None,
    resume: Resume = False,
    without: Without = None,
    strategy: StrategyOption = Strategy.MITOGEN,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Rebuild the cluster from a backup: after its control planes were lost, or on other machines.

    The backup and the key are checked first. What the cluster learned since the backup is lost, so the cluster's name
    is asked for. Workers that live go on with their pods.

    Examples:

        provision restore -i site.ini --plan

        provision restore -i site.ini /mnt/backups/prod-cp1-20260101T020000Z.backup --key key.pem --yes prod

        provision restore -i site.ini https://s3.example.com/backups/prod/prod-cp1-20260101T020000Z.backup
    """
    from provision import backups

    inputs = {}
    if not resume:
        inputs["run_backup_file"] = str(_chosen(inventory, file).expanduser().absolute())
    if key or not resume:
        inputs["run_backup_key"] = str((key or backups.default_key()).expanduser().absolute())
    finish(
        execute(
            "restore",
            inventory,
            strategy=strategy,
            plan_only=plan,
            approved=yes,
            resume=resume,
            without=names(without),
            inputs=inputs,
        )
    )


def _chosen(inventory: Path, file: str | None) -> Path:
    """The backup that was named, fetched when it is a URL; else the operator's newest of the site's cluster."""
    from provision import backups, s3, workflows

    if file and "://" not in file:
        return Path(file)
    site = workflows.validated(inventory)
    if file:
        fetched = s3.fetch(file, site)
        render.info(f"fetched to {fetched}")
        return fetched
    name = str(site.setting("cluster_name"))
    found = next(backups.known(name), None)
    if found is None:
        raise PreflightRefused(
            f"there is no backup of {name} in {backups.home() / name}",
            hint="name one: the control planes keep theirs in /var/lib/provision/backups",
        )
    render.info(f"from your newest backup, {found}")
    return found
