"""The options that commands share, so that they mean and read the same everywhere."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from provision import render


class OutputFormat(StrEnum):
    """What a command writes to standard output."""

    TEXT = "text"
    JSON = "json"


def _set_format(value: OutputFormat) -> OutputFormat:
    render.configure(format="json" if value is OutputFormat.JSON else "text")
    return value


def _set_verbosity(value: int) -> int:
    render.configure(verbosity=value)
    return value


Inventory = Annotated[
    Path,
    typer.Option(
        "--inventory",
        "-i",
        envvar="PROVISION_INVENTORY",
        metavar="SITE",
        help="The site: an Ansible inventory file, or a directory of them.",
    ),
]

OptionalInventory = Annotated[
    Path | None,
    typer.Option(
        "--inventory",
        "-i",
        envvar="PROVISION_INVENTORY",
        metavar="SITE",
        help="The site: an Ansible inventory file, or a directory of them.",
    ),
]

Output = Annotated[
    OutputFormat,
    typer.Option("--output", "-o", is_eager=True, callback=_set_format, help="Text to read, or one JSON document."),
]

Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        is_eager=True,
        callback=_set_verbosity,
        help="Show every step and change; twice or more: Ansible's own output as well.",
    ),
]


def setting_names(incomplete: str) -> list[str]:
    """Complete the name of a setting of ours."""
    from provision import specs

    return sorted(name for name in specs.specs() if name.startswith(incomplete))


def versions(incomplete: str) -> list[str]:
    """Complete a Kubernetes version that the catalog knows."""
    from provision import catalog

    return [version for version in catalog.load().known_versions() if version.startswith(incomplete)]


def host_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a host of the site that stands earlier on the line, or in PROVISION_INVENTORY."""
    from provision.errors import ProvisionError
    from provision.inventory import load

    site = ctx.params.get("inventory") or os.environ.get("PROVISION_INVENTORY")
    if not site:
        return []
    try:
        return [host.name for host in load(Path(site).expanduser()).hosts if host.name.startswith(incomplete)]
    except ProvisionError:
        return []


def sandbox_nodes(incomplete: str) -> list[str]:
    """Complete the name of a node of any sandbox on this machine."""
    from provision import sandbox

    return sorted({node.name for each in sandbox.load_all() for node in each.nodes if node.name.startswith(incomplete)})


TEXT = OutputFormat.TEXT
"""The default of `Output`."""
