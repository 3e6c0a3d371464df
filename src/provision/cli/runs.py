"""`provision runs`: what was done before."""

from __future__ import annotations

from pathlib import Path
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
    from provision import reports_runs

    histories = [_history(inventory)] if inventory else state.History.all()
    records = sorted((record for history in histories for record in history.records()), key=_when, reverse=True)[:limit]
    render.emit([_brief(record) for record in records], lambda: reports_runs.runs(records))


@app.command()
def show(
    number: Annotated[int | None, typer.Argument(metavar="N", help="The run's number; the newest without it.")] = None,
    inventory: OptionalInventory = None,
    html: Annotated[bool, typer.Option("--html", help="Write it as a page with a timeline by host.")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Where the page goes; default: run-N.html here.")
    ] = None,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Show one run: where its time went, what it changed on which host, and how it ended.

    Examples:

        provision runs show -i site.ini

        provision runs show 12 -i site.ini --html

        provision runs show 12 -i site.ini --output json
    """
    from provision import reports_runs

    if to and not html:
        raise UsageError("--to says where a page goes", hint="add --html")
    record = _history(inventory).record(number)
    if html:
        file = _write_page(record, to or Path(f"run-{record.number}.html"))
        render.emit({"page": str(file)}, f"written: {file}")
    else:
        render.emit(record.as_dict(), lambda: reports_runs.run(record))


@app.command()
def diff(
    a: Annotated[int, typer.Argument(metavar="A", help="The number of a run.")],
    b: Annotated[int, typer.Argument(metavar="B", help="The number of another run, of the same site.")],
    inventory: OptionalInventory = None,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Compare two runs of a site: how long each phase took, and what only one of them changed.

    Example:

        provision runs diff 11 12 -i site.ini
    """
    from provision import reports_runs, run_diff

    history = _history(inventory)
    compared = run_diff.compare(history.record(a), history.record(b))
    render.emit(compared.as_dict(), lambda: reports_runs.comparison(compared))


def _write_page(record: state.Record, file: Path) -> Path:
    """Write the run's page for the operator alone, as the record is."""
    from provision import html_report

    try:
        file.touch(mode=0o600)
        file.write_text(html_report.page(record), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}", hint="choose another with --to") from error
    return file


def _history(inventory: Path | None) -> state.History:
    if inventory is not None:
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
