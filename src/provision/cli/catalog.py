"""`provision catalog`: what can be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provision import render
from provision.cli.options import TEXT, Output, Verbose, versions

if TYPE_CHECKING:
    from rich.console import RenderableType

    from provision.catalog import Component

app = typer.Typer(help="What can be installed: versions, files, images, licences.", no_args_is_help=True)


@app.callback()
def _catalog() -> None:
    """What can be installed: versions, files, images, licences."""


@app.command("list")
def list_(
    kubernetes: Annotated[
        str | None,
        typer.Option("--kubernetes", metavar="VERSION", autocompletion=versions, help="What goes with this version."),
    ] = None,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """List the Kubernetes versions that can be installed, and the components that go with one.

    Examples:

        provision catalog list

        provision catalog list --kubernetes 1.35.4 --output json
    """
    from provision import catalog

    known = catalog.load()
    version = kubernetes or known.default_version
    optional = tuple(name for name, data in known.data["cluster_components"].items() if data.get("optional"))
    components = known.components(version, optional)
    document = {
        "kubernetes": known.release(version)["kubernetes"],
        "versions": list(known.known_versions()),
        "components": [_described(component) for component in components],
    }
    render.emit(document, lambda: _table(known.known_versions(), version, components))


def _described(component: Component) -> dict[str, object]:
    return {
        "name": component.name,
        "version": component.version,
        "licence": component.licence,
        "project": component.project,
        "optional": component.optional,
        "images": [image.ref for image in component.images],
    }


def _table(versions: tuple[str, ...], version: str, components: tuple[Component, ...]) -> RenderableType:
    from rich.console import Group

    rows = [
        (
            component.name,
            component.version,
            component.licence,
            "optional" if component.optional else "",
            "\n".join(image.ref for image in component.images),
        )
        for component in components
    ]
    head = f"Kubernetes versions: {', '.join(versions)}\nWith {version}:"
    return Group(head, render.table(("component", "version", "licence", "", "images"), rows))
