"""`provision sandbox`: nodes for any site on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provision import render
from provision.cli.options import TEXT, Inventory, OptionalInventory, Output, Verbose, sandbox_nodes

if TYPE_CHECKING:
    from rich.console import RenderableType

    from provision.sandbox import Sandbox
    from provision.sandbox.record import Node

app = typer.Typer(help="Nodes for any site on this machine: try, rehearse, test.", no_args_is_help=True)


@app.callback()
def _sandbox() -> None:
    """Nodes for any site on this machine: try, rehearse, test."""


@app.command()
def up(
    inventory: Inventory,
    spare: Annotated[
        bool, typer.Option("--spare", help="One machine more, which the inventory does not name yet.")
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle", metavar="DIR", help="Serve this bundle; default: the cached one of the site's version."
        ),
    ] = None,
    no_bundle: Annotated[bool, typer.Option("--no-bundle", help="Bare nodes: serve them nothing.")] = False,
    engine: Annotated[
        str | None,
        typer.Option("--engine", envvar="PROVISION_SANDBOX_ENGINE", metavar="NAME", help="podman, docker or qemu."),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            "--image",
            envvar="PROVISION_SANDBOX_IMAGE",
            metavar="FILE",
            help="qemu: start from this cloud image instead of our own.",
        ),
    ] = None,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Make a node for each host of the inventory, with its address, and serve them the bundle.

    Run it again to make what is missing: nodes of new hosts, nodes that were killed, the bundle's server.
    While the sandbox is up, every command with this inventory works on its nodes.

    Example:

        provision sandbox up -i inventory/sandbox/site.ini
    """
    from provision import sandbox

    made = sandbox.up(inventory, spare=spare, bundle=bundle, with_bundle=not no_bundle, engine=engine, image=image)
    render.emit(_described(made, sandbox.node_states(made)), lambda: _welcome(made, inventory))


@app.command()
def down(inventory: Inventory, output: Output = TEXT, verbose: Verbose = 0) -> None:
    """Remove the site's sandbox: nodes, disks, network, keys and the bundle's server. Nothing else is touched.

    Example:

        provision sandbox down -i inventory/sandbox/site.ini
    """
    from provision import sandbox

    removed = sandbox.down(inventory)
    if removed is None:
        render.emit({"removed": None}, f"{inventory} has no sandbox")
        return
    render.emit({"removed": removed.name}, f"The sandbox {removed.name} and its {len(removed.nodes)} nodes are removed")


@app.command("list")
def list_(output: Output = TEXT, verbose: Verbose = 0) -> None:
    """List the sandboxes on this machine and the state of their nodes.

    Example:

        provision sandbox list
    """
    from provision import sandbox

    found = [(each, sandbox.node_states(each)) for each in sandbox.load_all()]
    document = {"sandboxes": [_described(each, states) for each, states in found]}
    render.emit(document, lambda: _table(found) if found else "There are no sandboxes")


@app.command()
def kill(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", autocompletion=sandbox_nodes, help="A node, by its name in the inventory."),
    ],
    inventory: OptionalInventory = None,
    output: Output = TEXT,
    verbose: Verbose = 0,
) -> None:
    """Pull the plug of a node, as a power failure would. `provision sandbox up` powers it on again.

    Example:

        provision sandbox kill cp1 -i inventory/sandbox/site.ini
    """
    from provision import sandbox

    found, node = sandbox.find_node(inventory, name)
    sandbox.kill_node(inventory, name)
    again = f"provision sandbox up -i {inventory or found.site}"
    render.emit({"killed": node.name, "sandbox": found.name}, f"{node.name} is off; on again with: {again}")


@app.command()
def ssh(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", autocompletion=sandbox_nodes, help="A node, by its name in the inventory."),
    ],
    command: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND", help="What to run there.")] = None,
    inventory: OptionalInventory = None,
) -> None:
    """Open a shell on a node, or run a command there. The inventory is needed when several sandboxes have the name.

    Examples:

        provision sandbox ssh cp1

        provision sandbox ssh -i inventory/sandbox/site.ini cp1 -- journalctl -u kubelet
    """
    from provision import sandbox
    from provision.sandbox.ssh import command as ssh_command

    found, node = sandbox.find_node(inventory, name)
    argv = ssh_command(found, node, command or [])
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted


def _described(sandbox: Sandbox, states: dict[str, str]) -> dict[str, object]:
    return {
        "name": sandbox.name,
        "site": sandbox.site,
        "engine": sandbox.engine,
        "ready": sandbox.ready,
        "network": sandbox.network.subnet,
        "gateway": sandbox.network.gateway,
        "overlay": str(sandbox.overlay),
        "bundle": sandbox.bundle or None,
        "nodes": [
            {
                "name": node.name,
                "address": node.address,
                "container": node.container,
                "state": states[node.name],
                "spare": node.spare,
            }
            for node in sandbox.nodes
        ],
    }


def _table(found: list[tuple[Sandbox, dict[str, str]]]) -> RenderableType:
    rows = [
        (sandbox.name, node.name, node.address, f"{states[node.name]}{', spare' if node.spare else ''}", sandbox.site)
        for sandbox, states in found
        for node in sandbox.nodes
    ]
    return render.table(("sandbox", "node", "address", "state", "site"), rows)


def _welcome(sandbox: Sandbox, inventory: Path) -> str:
    from provision.inventory import load

    named = {host.address or host.name for host in load(inventory).hosts}

    def remark(node: Node) -> str:
        if node.spare:
            return "  spare"
        return "" if node.address in named else "  no longer in the inventory; it goes with the sandbox"

    nodes = "\n".join(f"  {node.name:<12}{node.address}{remark(node)}" for node in sandbox.nodes)
    spares = [node for node in sandbox.nodes if node.spare]
    hints = [f"to use {node.name}, write in the inventory:  {node.name} ansible_host={node.address}" for node in spares]
    going_on = [
        f"next:  provision cluster -i {inventory}",
        f"shell: provision sandbox ssh -i {inventory} {sandbox.nodes[0].name}",
    ]
    return "\n".join([f"The sandbox {sandbox.name} is up:", nodes, *hints, *going_on])
