"""`up` and `down`: a sandbox is made of what is missing, and removed by what is recorded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from provision import render
from provision.errors import InvalidInput, PreflightRefused, UsageError
from provision.paths import cache_home, state_home
from provision.sandbox import checks, keys, record, server, ssh
from provision.sandbox.engine import Engine, NodeSpec, choose_engine
from provision.sandbox.image import SUITE, ensure_image
from provision.sandbox.locks import locked
from provision.sandbox.overlay import write_overlay
from provision.sandbox.plan import Wanted, merge, plan
from provision.sandbox.record import Node, Sandbox
from provision.sandbox.site import read_site

_T = TypeVar("_T")


def up(
    site: Path,
    *,
    spare: bool = False,
    bundle: Path | None = None,
    with_bundle: bool = True,
    engine: str | None = None,
    suite: str = SUITE,
    image: Path | None = None,
) -> Sandbox:
    """Make the nodes of a site and serve them the bundle; what is there already is kept, what is missing is made.

    `bundle` is the bundle's directory, by default the cached one of the site's Kubernetes version. `image` is the disk
    of a cloud image, which virtual machines start from instead of one that is made from packages.
    Returns when every node lets us in and has booted. Raises InvalidInput for a site that no sandbox can carry,
    PreflightRefused with the command that helps when this machine cannot, HostUnreachable when a node stays silent.
    """
    facts = read_site(site)
    wanted = plan(facts, spare=spare)
    served = _bundle_directory(bundle, facts.version) if with_bundle else ""
    with _lock(wanted.name):
        sandbox = _prepare(wanted, served, engine, image or suite)
        _make_nodes(sandbox)
        if sandbox.bundle:
            if not server.running(sandbox.server):
                sandbox = _saved(replace(sandbox, server=server.start(sandbox)))
            server.wait_serving(sandbox)
        write_overlay(sandbox, facts.hosts, machines=choose_engine(sandbox.engine).traits.own_kernel)
        return _saved(replace(sandbox, ready=True))


def down(site: Path) -> Sandbox | None:
    """Remove the site's sandbox: its bundle server, nodes, disks, network, keys and record. None: there was none.

    Raises PreflightRefused when the engine cannot remove something; what is left stays recorded.
    """
    with _lock(record.name_for(site)):
        sandbox = record.load(site)
        if sandbox is None:
            return None
        sandbox = _saved(replace(sandbox, ready=False))
        ssh.close_connections(sandbox)
        server.stop(sandbox.server)
        engine = choose_engine(sandbox.engine)
        engine.remove_nodes([node.container for node in sandbox.nodes])
        engine.remove_network(sandbox.network.name)
        shutil.rmtree(sandbox.directory)
        return sandbox


def kill_node(site: Path | None, name: str) -> None:
    """Pull the plug of a node, as a failure would. `up` powers it on again; errors are those of `find_node`."""
    sandbox, node = find_node(site, name)
    choose_engine(sandbox.engine).kill_node(node.container)


def find_node(site: Path | None, name: str) -> tuple[Sandbox, Node]:
    """The node called `name` and its sandbox: that of the site, or without one, the only sandbox that has such a node.

    Raises PreflightRefused when there is no such sandbox, UsageError when no node or several have the name.
    """
    wanted = record.name_for(site) if site else None
    sandboxes = [sandbox for sandbox in record.load_all() if wanted in (None, sandbox.name)]
    if not sandboxes:
        raise PreflightRefused(
            f"{site} has no sandbox" if site else "there is no sandbox",
            hint=f"provision sandbox up -i {site or 'SITE'}",
        )
    matches = [(sandbox, node) for sandbox in sandboxes if (node := sandbox.node(name))]
    if len(matches) > 1:
        sites = ", ".join(sandbox.site for sandbox, _ in matches)
        raise UsageError(f"several sandboxes have a node {name}", hint=f"give one with --inventory: {sites}")
    if not matches:
        names = ", ".join(sorted({node.name for sandbox in sandboxes for node in sandbox.nodes}))
        raise UsageError(f"no sandbox node is called {name!r}", hint=f"there are {names}")
    return matches[0]


def overlay_for(site: Path) -> Path | None:
    """The overlay inventory of the site's sandbox; None when the site has no sandbox.

    Raises PreflightRefused when it has one that does not run: without its overlay, the real machines would be meant.
    """
    sandbox = record.load(site)
    if sandbox is None:
        return None
    if not sandbox.ready or not checks.network_is_up(sandbox.network):
        raise PreflightRefused(
            f"the sandbox of {site} is half made, or this machine was restarted since",
            hint=f"provision sandbox up -i {site} (or `down`, to work on the real machines)",
        )
    return sandbox.overlay


def node_states(sandbox: Sandbox) -> dict[str, str]:
    """Each node's state: `running`, `stopped`, `created` or `missing`."""
    states = choose_engine(sandbox.engine).node_states()
    return {node.name: states.get(node.container, "missing") for node in sandbox.nodes}


def _prepare(wanted: Wanted, bundle: str, engine_name: str | None, image: str | Path) -> Sandbox:
    """Check this machine, then write down what will be made, before it is."""
    present = record.load(wanted.site)
    _refuse_change(present, wanted, engine_name)
    engine = choose_engine(present.engine if present else engine_name)
    checks.check_tools()
    engine.check()
    if present is None:
        _refuse_leftovers(engine, wanted)
    elif bundle not in ("", present.bundle):
        server.stop(present.server)
    known = present.nodes if present else ()
    nodes = merge(known, wanted.nodes)
    if present is None or not checks.network_is_up(wanted.network):
        checks.check_subnet(wanted.network)
    checks.check_room(len(nodes) - len(known), engine.traits)
    sandbox = Sandbox(
        name=wanted.name,
        site=str(wanted.site),
        engine=engine.name,
        network=wanted.network,
        image=_image(engine, image, present),
        nodes=nodes,
        bundle=bundle or (present.bundle if present else ""),
        server=present.server if present else None,
    )
    sandbox.save()
    keys.make_keys(sandbox)
    return sandbox


def _image(engine: Engine, wanted: str | Path, present: Sandbox | None) -> str:
    """What nodes start from: the cloud image that was asked for now or at first, else the one of that Debian suite."""
    if isinstance(wanted, Path):
        if not engine.traits.own_kernel:
            raise UsageError("a cloud image is for virtual machines", hint="--engine qemu")
        if not wanted.is_file():
            raise InvalidInput(f"{wanted} is no disk image", hint="--image FILE, in the format qcow2 or raw")
        return str(wanted.absolute())
    if present and Path(present.image).is_absolute():
        return present.image
    return ensure_image(engine, wanted)


def _refuse_change(present: Sandbox | None, wanted: Wanted, engine_name: str | None) -> None:
    if present is None:
        return
    moved = (
        f"{node.name} moved from {known.address} to {node.address}"
        for node in wanted.nodes
        if (known := present.node(node.name)) and known.address != node.address
    )
    if present.network != wanted.network:
        change = f"the network changed from {present.network.subnet} to {wanted.network.subnet}"
    elif engine_name and engine_name != present.engine:
        change = f"it runs in {present.engine}, not in {engine_name}"
    elif not (change := next(moved, "")):
        return
    raise PreflightRefused(
        f"the sandbox of {wanted.site} exists and cannot follow: {change}",
        hint=f"undo that, or make another one: provision sandbox down -i {wanted.site}, then `up`",
    )


def _refuse_leftovers(engine: Engine, wanted: Wanted) -> None:
    """Nodes of ours without a record: nobody has the keys of those."""
    found = [node.container for node in wanted.nodes if node.container in engine.node_states()]
    if found:
        raise PreflightRefused(
            f"nodes of an earlier sandbox of {wanted.site} are there, and its record is not in {state_home()}",
            hint=engine.removal(found, wanted.network.name),
        )


def _make_nodes(sandbox: Sandbox) -> None:
    engine = choose_engine(sandbox.engine)
    engine.create_network(sandbox.network)
    states = engine.node_states()
    _each(sandbox.nodes, lambda node: _power_on(engine, sandbox, node, states.get(node.container)))
    engine.open_gateway(sandbox.network)
    patience = engine.traits.boot_seconds
    booted = _each(
        sandbox.nodes,
        lambda node: ssh.wait_booted(sandbox, node, timeout=patience, console=engine.console(node.container)),
    )
    for node, state in zip(sandbox.nodes, booted, strict=True):
        if state != "running":
            failed = f"provision sandbox ssh -i {sandbox.site} {node.name} -- systemctl --failed"
            render.warn(f"{node.name}: systemd is {state}; see `{failed}`")


def _power_on(engine: Engine, sandbox: Sandbox, node: Node, state: str | None) -> None:
    if state == "running":
        return
    if state is not None and state != "created":
        engine.start_node(node.container)
        return
    # One that was made but never started is left of an interrupted `up`.
    engine.remove_nodes([node.container] if state else [])
    engine.run_node(
        NodeSpec(
            container=node.container,
            hostname=node.name.lower(),
            address=node.address,
            image=sandbox.image,
            network=sandbox.network.name,
            identity=keys.identity(sandbox, node),
        )
    )


def _each(nodes: Iterable[Node], work: Callable[[Node], _T]) -> list[_T]:
    """Do it for all nodes at once; the first failure is raised when all are done."""
    todo = list(nodes)
    with ThreadPoolExecutor(max_workers=len(todo)) as pool:
        return [future.result() for future in [pool.submit(work, node) for node in todo]]


def _bundle_directory(bundle: Path | None, version: str) -> str:
    chosen = (bundle or cache_home() / "bundle" / version).absolute()
    if not (chosen / "manifest.json").exists():
        raise PreflightRefused(
            f"there is no bundle in {chosen}, which the nodes would be installed from",
            hint="provision bundle create --source build (or `--no-bundle` for bare nodes)",
        )
    return str(chosen)


def _saved(sandbox: Sandbox) -> Sandbox:
    sandbox.save()
    return sandbox


def _lock(name: str) -> AbstractContextManager[None]:
    return locked(state_home() / "sandbox" / f".{name}.lock")
