"""`provision validate` and `explain`: what a site says, without touching a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provision import render
from provision.cli import app
from provision.cli.options import TEXT, Inventory, OptionalInventory, Output, Verbose, host_names, setting_names
from provision.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.explain import Explanation
    from provision.inventory import Site


@app.command(rich_help_panel="Site")
def validate(inventory: Inventory, output: Output = TEXT, verbose: Verbose = 0) -> None:
    """Check the inventory and every setting, offline, in a second or two; no machine is touched.

    All that is wrong is told at once, each with file and line. Ends with 3 when something is.

    Example:

        provision validate -i site.ini
    """
    from provision import validate as checks
    from provision import workflows

    site = workflows.validated(inventory)
    checks.require_odd_etcd(site)
    notices = (*site.warnings, *checks.notices(site))
    for notice in notices:
        render.warn(notice)
    render.emit(_described(site) | {"warnings": list(notices)}, lambda: _sentence(site))


def _described(site: Site) -> dict[str, object]:
    return {
        "site": str(site.path),
        "sandbox": str(site.overlay) if site.overlay else None,
        "hosts": [{"name": host.name, "address": host.address, "groups": list(host.groups)} for host in site.hosts],
        "api_mode": site.api_mode,
        "aliases": [{"name": use.name, "own": use.own, "value": use.value} for use in site.aliases],
        "error": None,
    }


def _sentence(site: Site) -> str:
    planes, etcd = len(site.control_planes), len(site.etcd_members)
    workers = len(site.nodes) - planes
    ways = {"vip": f"behind the VIP {site.setting('cluster_vip')}", "external": "behind an external balancer"}
    way = ways.get(site.api_mode, "with a local balancer on every node")
    sizes = f"{_count(planes, 'control plane')}, {_count(workers, 'worker')}, {_count(etcd, 'etcd member')}"
    lines = [f"{site.path.name} is valid: {sizes}, Kubernetes {site.setting('cluster_version')}, {way}", *_taken(site)]
    return "\n".join(lines)


def _taken(site: Site) -> Iterator[str]:
    """What Kubespray's names became: how many with an effect; with --verbose each of them."""
    used = [use for use in site.aliases if use.own]
    if render.verbosity():
        yield from (f"  {use}" for use in site.aliases)
    elif used:
        yield f"{_count(len(used), 'setting')} taken from Kubespray's names; --verbose lists them"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@app.command(rich_help_panel="Site")
def explain(
    name: Annotated[
        str, typer.Argument(metavar="NAME", autocompletion=setting_names, help="A setting, by our name or Kubespray's.")
    ],
    inventory: OptionalInventory = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="HOST", autocompletion=host_names, help="As this host sees it.")
    ] = None,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Say what a setting means, its value, and which file and line it comes from.

    Examples:

        provision explain cluster_vip -i site.ini

        provision explain etcd_data_dir -i site.ini --host master1
    """
    from provision import explain as explaining
    from provision import inventory as inventories
    from provision import sandbox

    if host and inventory is None:
        raise UsageError("--host needs a site", hint="give its inventory file with --inventory")
    site = inventories.load(inventory, sandbox.overlay_for(inventory)) if inventory else None
    found = explaining.explain(site, name, host)
    render.emit(found.as_dict(), lambda: _explanation(found))


def _explanation(found: Explanation) -> str:
    from provision import explain as explaining

    differing = [name for name, _ in found.per_host]
    facts = {
        "value": explaining.text_of(found.value) if found.value not in (None, "") else "(empty)",
        "differs": f"on {', '.join(differing)}; --host NAME shows each" if differing else "",
        "from": f"{found.origin} ({found.source})" if found.origin else found.source,
        "type": found.type,
        "default": explaining.text_of(found.default) if found.default not in (None, "") else "(empty)",
        "choices": ", ".join(map(str, found.choices or [])),
        "also as": ", ".join(found.aliases or []),
    }
    lines = [f"  {key:<9}{value}" for key, value in facts.items() if value not in (None, "")]
    return "\n".join([found.name, *(f"  {line}" for line in str(found.description).splitlines()), "", *lines])
