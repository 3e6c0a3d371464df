"""`provision upgrade`."""

from __future__ import annotations

from typing import Annotated

import typer

from provision import render
from provision.cli import app
from provision.cli.options import TEXT, Inventory, Output, Verbose, versions
from provision.cli.running import ExitCode, Plan, Resume, Strategy, StrategyOption, Without, Yes, execute, finish, names
from provision.errors import UsageError


def _batch(value: str) -> str:
    """Let through what Ansible takes for the size of a batch: a number, or a percentage."""
    number = value.removesuffix("%")
    if not number.isdecimal() or int(number) < 1 or (value.endswith("%") and int(number) > 100):
        raise typer.BadParameter("a number of workers, such as 3, or a share of them, such as 10%")
    return value


@app.command(rich_help_panel="Cluster")
def upgrade(
    inventory: Inventory,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="X.Y.Z", autocompletion=versions, help="The version of Kubernetes to bring it to."
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            "--batch",
            metavar="N|N%",
            callback=lambda value: _batch(value) if value else None,
            help="How many workers at the same time (1).",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also move Pods that nobody makes again: they are gone.")
    ] = False,
    drain_timeout: Annotated[
        int | None,
        typer.Option("--drain-timeout", metavar="SECONDS", min=1, help="How long Pods may take to leave (300)."),
    ] = None,
    plan: Plan = False,
    yes: Yes = False,
    exit_code: ExitCode = False,
    resume: Resume = False,
    without: Without = None,
    strategy: StrategyOption = Strategy.MITOGEN,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Bring the cluster to another version of Kubernetes, and to the versions that belong to it.

    Makes a backup, fetches everything, then takes one control plane after the other and the workers by batch: each is
    drained, changed, waited for, and taken back. Ends at the first one that does not get well; --resume goes on. Never
    skips a minor version and never goes back.

    Examples:

        provision upgrade --to 1.36.4 -i site.ini --plan

        provision upgrade --to 1.36.4 -i site.ini --batch 10% --yes

        provision upgrade -i site.ini --resume --yes
    """
    if not to and not resume:
        raise UsageError("name the version to upgrade to", hint=f"provision upgrade --to X.Y.Z -i {inventory}")
    if exit_code and not plan:
        raise UsageError("--exit-code goes with --plan")
    done = execute(
        "upgrade",
        inventory,
        strategy=strategy,
        plan_only=plan,
        yes=yes,
        exit_code=exit_code,
        resume=resume,
        without=names(without),
        inputs=_inputs(to, batch, force, drain_timeout),
    )
    if done.error is None and not done.result.check:
        from provision.lifecycle.upgrade import line_to_set

        if line := line_to_set(done.site, str(done.request.inputs["cluster_version"])):
            render.info(line)
    finish(done)


def _inputs(to: str | None, batch: str | None, force: bool, drain_timeout: int | None) -> dict[str, object]:
    """What the playbook is told; what is not given stays as an interrupted run had it."""
    from provision import catalog

    given = {
        "cluster_version": catalog.load().release(to)["kubernetes"] if to else None,
        "run_batch": batch,
        "run_force": force or None,
        "run_drain_timeout": drain_timeout,
    }
    return {name: value for name, value in given.items() if value is not None}
