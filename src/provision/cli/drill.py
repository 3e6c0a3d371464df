"""`provision drill`: failure training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provision import render
from provision.cli import app
from provision.cli.options import TEXT, OptionalInventory, Output, Verbose, host_names
from provision.cli.running import Plan, Strategy, StrategyOption, YesByName
from provision.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from provision.drills.session import Done


def _drill_names(incomplete: str) -> list[str]:
    """Complete the name of a drill."""
    from provision.drills.catalog import DRILLS

    return [name for name in ("list", *DRILLS) if name.startswith(incomplete)]


@app.command(rich_help_panel="Cluster")
def drill(
    name: Annotated[
        str, typer.Argument(metavar="NAME", autocompletion=_drill_names, help="A drill; `list` shows all of them.")
    ] = "list",
    inventory: OptionalInventory = None,
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="HOST", autocompletion=host_names, help="Injure this host instead of the first that fits."
        ),
    ] = "",
    graceful: Annotated[
        bool, typer.Option("--graceful", help="With vip-holder: hand the VIP over, as before maintenance.")
    ] = False,
    plan: Plan = False,
    yes: YesByName = None,
    strategy: StrategyOption = Strategy.MITOGEN,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Break something on purpose, measure from outside what users notice of it, heal it, and write a report.

    Refuses where the cluster is not healthy or would not survive. On a sandbox it just does it; machines that are no
    sandbox are injured only after the cluster's name was typed or given with --yes.

    Examples:

        provision drill list -i site.ini

        provision drill vip-holder -i site.ini
    """
    if name == "list":
        _list(inventory)
        return
    from provision.drills import catalog, session

    if graceful and name != "vip-holder":
        raise UsageError("--graceful goes with vip-holder", hint="provision drill vip-holder --graceful -i SITE")
    if name not in catalog.DRILLS:
        raise UsageError(f"there is no drill {name}", hint=f"the drills are {', '.join(catalog.DRILLS)}")
    if inventory is None:
        raise UsageError("which site?", hint=f"provision drill {name} -i SITE")
    chosen = catalog.GRACEFUL if graceful else catalog.DRILLS[name]
    from provision import outcome, workflows

    site = workflows.validated(inventory)
    if site.overlay:
        render.info(outcome.on_sandbox(site.path))
    wanted = session.Wanted(
        site=site,
        drill=chosen,
        host=host,
        plan_only=plan,
        approved=yes,
        strategy=strategy.value,
    )
    done = session.hold(wanted)
    render.emit(done.as_dict(), lambda: _told(done))
    if done.error is not None:
        render.error(done.error)
        raise typer.Exit(done.error.exit_code)


def _told(done: Done) -> str:
    if done.report is None:
        return f"Nothing was injured: this was the plan of run {done.run}."
    files = "\n".join(f"  {path}" for path in done.files)
    return f"\n{done.report.text()}\n\nThe report:\n{files}"


def _list(inventory: OptionalInventory) -> None:
    """All drills; with a site, whether it can have them."""
    from provision.drills import safety
    from provision.drills.catalog import DRILLS, GRACEFUL
    from provision.drills.power import in_containers

    site = None
    if inventory is not None:
        from provision import workflows

        site = workflows.validated(inventory)
    drills = list(DRILLS.values())
    drills.insert(1, GRACEFUL)
    found = [
        {
            "name": each.name,
            "help": each.help,
            "target": str(each.target),
            "refused": safety.impossible(site, each, containers=in_containers(site)) if site else None,
        }
        for each in drills
    ]

    def shown() -> RenderableType:
        last = "on this site" if site else "on"
        rows = [
            (each["name"], each["help"], (each["refused"] or "can be done") if site else each["target"])
            for each in found
        ]
        return render.table(("drill", "what happens", last), rows)

    render.emit({"drills": found}, shown)
