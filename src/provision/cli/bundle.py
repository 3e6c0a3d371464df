"""`provision bundle`: make, check and serve the directory that a site installs from."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provision import paths, render
from provision.cli.options import TEXT, Output, Verbose, versions
from provision.errors import InvalidInput, UsageError

if TYPE_CHECKING:
    from provision.bundle.manifest import Manifest

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Everything a site installs, as one directory: make, check and serve it.",
)


class SourceName(StrEnum):
    """Where the content of a new bundle comes from."""

    UPSTREAM = "upstream"
    BUILD = "build"
    MIRROR = "mirror"


class Arch(StrEnum):
    """Architectures that the catalog has files for."""

    AMD64 = "amd64"
    ARM64 = "arm64"


Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory", "-d", metavar="DIR", help="The bundle. By default the one of the version in the user's cache."
    ),
]
Version = Annotated[
    str | None,
    typer.Option(
        "--version", metavar="X.Y.Z", autocompletion=versions, help="Kubernetes version; by default the newest known."
    ),
]


@app.command()
def create(
    directory: Directory = None,
    source: Annotated[
        SourceName, typer.Option("--source", help="Download releases, build from Go modules, or copy a mirror.")
    ] = SourceName.UPSTREAM,
    version: Version = None,
    arch: Annotated[
        list[Arch] | None, typer.Option("--arch", help="Architecture of the machines (amd64); repeat for more.")
    ] = None,
    distribution: Annotated[
        list[str] | None,
        typer.Option("--distribution", help="Whose packages to include (debian-13), or `none`; repeat for more."),
    ] = None,
    extra: Annotated[
        list[str] | None, typer.Option("--with", metavar="NAME", help="Optional component, such as calico; repeat.")
    ] = None,
    mirror_url: Annotated[
        str, typer.Option("--mirror-url", metavar="URL", help="Address of the bundle to copy, for --source mirror.")
    ] = "",
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Make a bundle, or complete one: what is there and valid is kept, downloads go on where they stopped."""
    from provision import catalog
    from provision.bundle.create import Source, create
    from provision.bundle.plan import Plan

    known = catalog.load()
    release = known.release(version or known.default_version)["kubernetes"]
    plan = Plan(
        directory=_place(directory, release),
        catalog=known,
        version=release,
        arches=tuple(dict.fromkeys(item.value for item in arch or [Arch.AMD64])),
        distributions=tuple(dict.fromkeys(name for name in distribution or ["debian-13"] if name != "none")),
        extra=tuple(extra or ()),
        cache=paths.cache_home(),
        progress=render.progress,
    )
    made = create(plan, Source(source.value), mirror_url)
    render.emit({"directory": str(plan.directory), **_summary(made)}, f"{_words(made)}\n{plan.directory}")


@app.command()
def verify(directory: Directory = None, version: Version = None, output: Output = TEXT, verbose: Verbose = 0) -> None:
    """Read every file of a bundle and name those that are missing or damaged (exit code 4)."""
    from provision.bundle.verify import refusal, verify

    place = _existing(directory, version)
    made, problems = verify(place)
    if problems and not render.is_json():
        raise refusal(place, made, problems)
    listed = [asdict(problem) for problem in problems]
    render.emit({"directory": str(place), "problems": listed, **_summary(made)}, f"{_words(made)}\nevery file is valid")
    if problems:
        raise typer.Exit(refusal(place, made, problems).exit_code)


@app.command()
def serve(
    directory: Directory = None,
    version: Version = None,
    address: Annotated[str, typer.Option("--address", metavar="IP", help="The address to serve on.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option("--http-port", help="Files and packages.")] = 8080,
    registry_port: Annotated[int, typer.Option("--registry-port", help="Images.")] = 5000,
) -> None:
    """Serve a bundle to nodes until SIGTERM or Ctrl-C: files and packages over HTTP, images through a registry."""
    from provision.bundle.serve import Server, run

    raise typer.Exit(run(Server(_existing(directory, version), address, http_port, registry_port)))


def _place(directory: Path | None, version: str) -> Path:
    return directory.absolute() if directory else paths.cache_home() / "bundle" / version


def _existing(directory: Path | None, version: str | None) -> Path:
    from provision import catalog
    from provision.bundle import manifest

    if directory and version:
        raise UsageError("--directory and --version name the same thing twice", hint="leave one of them out")
    release = (version or catalog.load().default_version).removeprefix("v")
    place = _place(directory, release)
    if not (place / manifest.NAME).exists():
        what = f"{place} is not a complete bundle" if place.exists() else f"there is no bundle in {place}"
        raise InvalidInput(
            what, hint=f"provision bundle create {f'--directory {directory}' if directory else f'--version {release}'}"
        )
    return place


def _summary(made: Manifest) -> dict[str, object]:
    return {
        "kubernetes": made.kubernetes,
        "arch": list(made.arch),
        "source": made.source,
        "distributions": list(made.distributions),
        "artifacts": len(made.artifacts),
        "images": len(made.images),
        "packages": len(made.packages),
        "files": len(made.files),
        "bytes": sum(entry.size for entry in made.files.values()),
    }


def _words(made: Manifest) -> str:
    size = sum(entry.size for entry in made.files.values()) >> 20
    return (
        f"Kubernetes {made.kubernetes} for {', '.join(made.arch)}: {len(made.artifacts)} artifacts, "
        f"{len(made.images)} images, {len(made.packages)} packages, {size} MiB"
    )
