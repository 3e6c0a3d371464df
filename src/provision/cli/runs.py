"""`provision runs`: what was done before."""

from __future__ import annotations

from typing import Annotated

import typer

from provision import render, state
from provision.cli.options import TEXT, OptionalInventory, Output, Verbose
from provision.errors import UsageError

app = typer.Typer(help="What was done before: the history of a site.", no_args_is_help=True)


@app.command("list")
def list_(
    inventory: OptionalInventory = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show the newest N.")] = 20,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """List the runs of a site, the newest first; without a site those of all.

    Example:

        provision runs list -i site.ini
    """
    from provision import reports

    histories = [_history(inventory)] if inventory else state.History.all()
    records = sorted((record for history in histories for record in history.records()), key=_when, reverse=True)[:limit]
    render.emit([_brief(record) for record in records], lambda: reports.runs(records))


@app.command()
def show(
    number: Annotated[int | None, typer.Argument(metavar="N", help="The run's number; the newest without it.")] = None,
    inventory: OptionalInventory = None,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Show one run: where its time went, what it changed on which host, and how it ended.

    Examples:

        provision runs show -i site.ini

        provision runs show 12 -i site.ini --output json
    """
    from provision import reports

    record = _history(inventory).record(number)
    render.emit(record.as_dict(), lambda: reports.run(record))


def _history(inventory: object) -> state.History:
    from pathlib import Path

    if isinstance(inventory, Path):
        from provision.inventory import site_file

        return state.History.of(site_file(inventory))
    histories = state.History.all()
    if len(histories) == 1:
        return histories[0]
    raise UsageError("which site?", hint="give it with -i SITE or PROVISION_INVENTORY")


def _when(record: state.Record) -> str:
    return record.started


def _brief(record: state.Record) -> dict[str, object]:
    return {key: value for key, value in record.as_dict().items() if key != "result"}
