"""`provision node add` and `provision node remove`."""

from __future__ import annotations

from typing import Annotated

import typer

from provision import render
from provision.cli.options import TEXT, Inventory, Output, Verbose, host_names
from provision.cli.running import ExitCode, Plan, Resume, Strategy, StrategyOption, Without, Yes, execute, finish, names
from provision.errors import UsageError

app = typer.Typer(help="Add nodes to a cluster that runs, and remove them.", no_args_is_help=True)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME...", autocompletion=host_names, help="Hosts of the inventory.", show_default=False),
]


@app.callback()
def _node() -> None:
    """Add nodes to a cluster that runs, and remove them."""


@app.command()
def add(
    inventory: Inventory,
    hosts: Names = None,
    plan: Plan = False,
    yes: Yes = False,
    exit_code: ExitCode = False,
    resume: Resume = False,
    without: Without = None,
    strategy: StrategyOption = Strategy.MITOGEN,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Take hosts of the inventory into the cluster: workers, GPU nodes, control planes, etcd members.

    Write their lines into the inventory first. Works on these hosts, and on the balancers when a control plane comes;
    other nodes may be down. What is a member already is left as it is.

    Examples:

        provision node add w2 -i site.ini --plan

        provision node add w2 w3 -i site.ini --yes
    """
    _require(hosts, resume, exit_code, plan)
    finish(
        execute(
            "node add",
            inventory,
            strategy=strategy,
            plan_only=plan,
            yes=yes,
            exit_code=exit_code,
            resume=resume,
            without=names(without),
            hosts=names(hosts),
        )
    )


@app.command()
def remove(
    inventory: Inventory,
    hosts: Names = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also lose data on the node's own disks, and Pods that nobody makes again.")
    ] = False,
    drain_timeout: Annotated[
        int, typer.Option("--drain-timeout", metavar="SECONDS", min=1, help="How long Pods may take to leave.")
    ] = 300,
    plan: Plan = False,
    yes: Yes = False,
    exit_code: ExitCode = False,
    resume: Resume = False,
    without: Without = None,
    strategy: StrategyOption = Strategy.MITOGEN,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Take hosts out of the cluster: any worker, control plane or etcd member, and dead ones too.

    Guards the majority of etcd and data on the node's disks, moves the Pods, and removes what was installed. Ends by
    saying which lines of the inventory to delete.

    Examples:

        provision node remove w2 -i site.ini --plan

        provision node remove cp1 -i site.ini --yes
    """
    _require(hosts, resume, exit_code, plan)
    done = execute(
        "node remove",
        inventory,
        strategy=strategy,
        plan_only=plan,
        yes=yes,
        exit_code=exit_code,
        resume=resume,
        without=names(without),
        hosts=names(hosts),
        inputs={"run_drain_timeout": drain_timeout, **({"run_force": True} if force else {})},
    )
    if done.error is None and not done.result.check:
        from provision.lifecycle import node_remove

        for line in node_remove.lines_to_delete(done.site, done.request.hosts):
            render.info(f"delete {line}")
    finish(done)


def _require(hosts: list[str] | None, resume: bool, exit_code: bool, plan: bool) -> None:
    """Refuse command lines that say too little or contradict themselves (UsageError)."""
    if not hosts and not resume:
        raise UsageError("name at least one host", hint="provision node add NAME -i SITE")
    if exit_code and not plan:
        raise UsageError("--exit-code goes with --plan")
