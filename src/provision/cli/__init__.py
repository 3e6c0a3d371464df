"""The command line: names, options and help. What commands do is written elsewhere."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from provision import __version__, render
from provision.errors import ProvisionError, UsageError

_LATE = {
    "bundle": ("provision.cli.bundle", "Everything a site installs, as one directory: make, check and serve it."),
    "certificates": ("provision.cli.certificates", "How long every certificate lasts; and renew them."),
    "node": ("provision.cli.node", "Add nodes to a cluster that runs, and remove them."),
    "sandbox": ("provision.cli.sandbox", "Nodes for any site on this machine: try, rehearse, test."),
    "catalog": ("provision.cli.catalog", "What can be installed: versions, files, images, licences."),
    "runs": ("provision.cli.runs", "What was done before: the history of a site."),
}
"""Groups of commands that are loaded when one of theirs is called; the help of all need not load them."""


class _Group(TyperGroup):
    """The top group: loads the late ones on demand, and lists them without."""

    _only_listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_LATE]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _LATE:
            return super().get_command(ctx, cmd_name)
        module, words = _LATE[cmd_name]
        if self._only_listing:
            return TyperCommand(cmd_name, help=words, rich_help_panel="Nodes, files and history")
        command = typer.main.get_group(import_module(module).app)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._only_listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._only_listing = False


app = typer.Typer(
    name="provision",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start here: scripts/demo (in a clone) for a try on this machine, provision validate -i SITE for your own.",
)


def _version(wanted: bool) -> None:
    if wanted:
        render.info(f"provision {__version__}")
        raise typer.Exit


@app.callback()
def _provision(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A highly available Kubernetes cluster on your own machines, in one command."""


def main() -> None:
    """Run the command line; ends the process with the exit code that `errors` documents."""
    try:
        app(prog_name="provision")
    except SystemExit as ended:
        _explain_usage(ended, sys.argv[1:])
        raise
    except ProvisionError as error:
        if render.is_json():
            render.emit({"error": error.as_dict()})
        render.error(error)
        sys.exit(error.exit_code)


def _explain_usage(ended: SystemExit, arguments: list[str]) -> None:
    """Add to what typer said of a wrong command line: a hint, and with `--output json` the document."""
    said = getattr(ended.__context__, "format_message", None)
    if ended.code != UsageError.exit_code or said is None:
        return
    error = UsageError(said())
    if error.message.startswith("Missing option '--inventory'"):
        site = next((word for word in arguments[1:] if Path(word).exists()), "SITE")
        error.hint = f"name the site with -i {site}, or in PROVISION_INVENTORY"
        render.hint(error.hint)
    elif error.message.startswith("Option '--yes' requires"):
        error.hint = "agree with the name of the cluster: --yes CLUSTER"
        render.hint(error.hint)
    if render.is_json() or "json" in arguments:
        render.configure(format="json")
        render.emit({"error": error.as_dict()})


from provision.cli import backup, cluster, drill, rehearse, reset, site, upgrade  # noqa: E402, F401 - they add their commands to `app`
