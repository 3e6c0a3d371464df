"""`provision rehearse`: a site on sandbox nodes before it is done to machines."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from provision import render
from provision.cli import app
from provision.cli.options import TEXT, Inventory, Output, Verbose
from provision.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from provision.inventory import Site
    from provision.rehearsal.play import Rehearsal


@app.command(rich_help_panel="Cluster")
def rehearse(
    inventory: Inventory,
    workflow: Annotated[
        str, typer.Option("--workflow", "-w", metavar="COMMAND", help='What to rehearse: cluster, "node remove w2", …')
    ] = "cluster",
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="-- ARGUMENTS", help="Further arguments of that command.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, metavar="N", help="Take only N of the workers, of all kinds.")
    ] = None,
    network: Annotated[
        str, typer.Option("--network", metavar="CIDR", help="The nodes' network, a /24; a free one without it.")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the nodes running afterwards.")] = False,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Do a workflow first on sandbox nodes of this machine: your hosts, groups and settings with other addresses.

    Makes a copy of the site with moved addresses, a node for each host and the cluster on them, runs the workflow, and
    tells what happened and how long it took. Your machines are not touched.

    Examples:

        provision rehearse -i site.ini

        provision rehearse -i site.ini --workflow "node remove w2" --keep
    """
    from provision.inventory import load
    from provision.rehearsal import play

    site = load(inventory)
    words = (*shlex.split(workflow), *(arguments or ()))
    agreement, newcomers = _agreement(words, site)
    done = play.rehearse(play.Wanted(site, words, agreement, newcomers, workers=workers, network=network, keep=keep))
    render.emit(done.as_dict(), lambda: _told(done))
    if done.error is not None:
        render.error(done.error)
        raise typer.Exit(done.error.exit_code)


def _agreement(words: tuple[str, ...], site: Site) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How the workflow is agreed to, and the hosts that join with it. Raises UsageError for what is no workflow."""
    from provision.workflows import WORKFLOWS, Effect

    names = [name for name in WORKFLOWS if words[: len(name.split())] == tuple(name.split())]
    if not names:
        known = ", ".join(WORKFLOWS)
        raise UsageError(f"`{' '.join(words)}` is no workflow", hint=f"one of {known}, with its arguments")
    name = max(names, key=len)
    rest = words[len(name.split()) :]
    hosts = {host.name for host in site.hosts}
    newcomers = tuple(word for word in rest if word in hosts) if name == "node add" else ()
    match WORKFLOWS[name].effect:
        case Effect.READS:
            return (), newcomers
        case Effect.DESTROYS:
            return ("--yes", str(site.setting("cluster_name"))), newcomers
        case Effect.CHANGES:
            return ("--yes",), newcomers


def _told(done: Rehearsal) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    rows: list[tuple[object, ...]] = []
    for step in done.steps:
        ended = Text("done", style="green") if not step.code else Text(f"failed ({step.code})", style="bold red")
        rows.append((step.command, f"{step.seconds:.1f} s", step.changes or "", ended))
        rows += [(f"  {phase['name']}", f"{phase['seconds']:.1f} s", "", "") for phase in step.phases]
    ways = f"the nodes stay: provision status -i {done.copy}; remove them with: provision sandbox down -i {done.copy}"
    last = Text(ways if done.kept else "The nodes are removed.")
    return Group(render.table(("step", "took", "changes", ""), rows), last)
