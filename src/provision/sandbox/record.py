"""What is written down about a sandbox, so that every later command finds it and `down` removes exactly it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from provision.errors import ProvisionError
from provision.inventory import site_file
from provision.paths import state_home
from provision.sandbox.engine import Network

FORMAT = 1
_PREFIX = "provision"
_PLAIN_STEMS = {"site", "hosts", "inventory"}


@dataclass(frozen=True)
class Node:
    """A node of a sandbox."""

    name: str
    container: str
    address: str
    spare: bool = False
    """Whether it is a machine that the site does not name yet."""


@dataclass(frozen=True)
class Server:
    """The process that serves the bundle to the nodes."""

    pid: int
    started: int
    """When the kernel started it, in clock ticks since boot: tells it from a later process with the same number."""


@dataclass(frozen=True)
class Sandbox:
    """The record of one sandbox. `ready` once all of it answered; nodes are recorded before they are made."""

    name: str
    site: str
    engine: str
    network: Network
    image: str
    nodes: tuple[Node, ...]
    bundle: str = ""
    server: Server | None = None
    ready: bool = False

    @property
    def directory(self) -> Path:
        """Where the record, the keys and the overlay are: for the owner's eyes only."""
        return directory(self.name)

    @property
    def overlay(self) -> Path:
        """The inventory that turns the site's hosts into this sandbox's nodes."""
        return self.directory / "overlay.yml"

    @property
    def key(self) -> Path:
        """The ssh key that opens every node."""
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The nodes' host keys, as ssh wants them."""
        return self.directory / "known_hosts"

    def save(self) -> None:
        """Write the record whole or not at all."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.directory / ".sandbox.json.partial"
        partial.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n")
        partial.replace(self.directory / "sandbox.json")

    def node(self, name: str) -> Node | None:
        """The node called `name`, if there is one."""
        return next((node for node in self.nodes if node.name == name), None)


def directory(name: str) -> Path:
    """The directory of the sandbox called `name`."""
    return state_home() / "sandbox" / name


def name_for(site: Path) -> str:
    """The name of a site's sandbox: a readable stem, and enough of the path's hash to tell equal stems apart.

    Raises InvalidInput when there is no such site. One that was deleted while it has a sandbox still counts.
    """
    given = site.expanduser().absolute()
    if not given.exists() and directory(_name(given.resolve())).is_dir():
        return _name(given.resolve())
    return _name(site_file(site).resolve())


def _name(path: Path) -> str:
    stem = path.parent.name if path.stem in _PLAIN_STEMS else path.stem
    readable = "".join(char if char.isalnum() else "-" for char in stem.lower()).strip("-")[:20]
    return f"{readable or 'site'}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"


def container_name(sandbox: str, node: str) -> str:
    """What the engine calls a node."""
    return f"{_PREFIX}-{sandbox}-{node.lower()}"


def network_name(sandbox: str) -> str:
    """What the engine calls the sandbox's network."""
    return f"{_PREFIX}-{sandbox}"


def load(site: Path) -> Sandbox | None:
    """The record of the site's sandbox; None when there is none."""
    return _read(directory(name_for(site)))


def load_all() -> Iterator[Sandbox]:
    """All sandboxes of this user, by name."""
    home = state_home() / "sandbox"
    for path in sorted(home.iterdir()) if home.is_dir() else []:
        if found := _read(path):
            yield found


def _read(path: Path) -> Sandbox | None:
    file = path / "sandbox.json"
    if not file.exists():
        return None
    try:
        return _parse(json.loads(file.read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise ProvisionError(f"the sandbox's record cannot be read: {error}", location=str(file)) from error


def _parse(data: dict[str, Any]) -> Sandbox:
    if data.pop("format", None) != FORMAT:
        raise ValueError("it was written by another version of provision")
    data["network"] = Network(**data["network"])
    data["nodes"] = tuple(Node(**node) for node in data["nodes"])
    data["server"] = Server(**data["server"]) if data["server"] else None
    return Sandbox(**data)
