"""What the sandbox asks of whatever runs its nodes, and how an engine is chosen."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provision.errors import PreflightRefused, UsageError


@dataclass(frozen=True)
class Network:
    """A network of one sandbox, with no way out of the machine."""

    name: str
    subnet: str
    """In CIDR notation, always a /24."""
    gateway: str
    """The address of this machine in it."""


@dataclass(frozen=True)
class NodeSpec:
    """One node to run."""

    container: str
    """Its name for the engine, unique on this machine."""
    hostname: str
    address: str
    image: str
    network: str
    identity: Path
    """A directory of this machine that the node sees, read-only, as /etc/sandbox: its ssh keys and its gateway."""


@dataclass(frozen=True)
class Traits:
    """What nodes of one kind take, and what they are."""

    own_kernel: bool
    """Whether a node is a machine of its own: its kernel, its clock, its memory."""
    memory_mib: int
    disk_mib: int
    boot_seconds: float
    """How long a node may take until it is given up."""


CONTAINER = Traits(own_kernel=False, memory_mib=720, disk_mib=720, boot_seconds=60)
MACHINE = Traits(own_kernel=True, memory_mib=2048, disk_mib=2048, boot_seconds=600)
"""An emulated processor is ten to fifteen times slower than a real one, and busy with all nodes at once."""


class Engine(Protocol):
    """Runs nodes. Each method raises PreflightRefused with the engine's last words when it cannot do its work."""

    @property
    def name(self) -> str:
        """What `--engine` calls it."""

    @property
    def traits(self) -> Traits:
        """The kind of its nodes."""

    def check(self) -> None:
        """Refuse, with the command that fixes it, when this machine cannot run nodes with this engine."""

    def has_image(self, reference: str) -> bool:
        """Whether the node image is there already."""

    def import_image(self, tar: Path, reference: str) -> None:
        """Make a node image of the tar of a root file system."""

    def create_network(self, network: Network) -> None:
        """Make the network; does nothing when it exists."""

    def open_gateway(self, network: Network) -> None:
        """Give this machine the gateway's address; the network must have a running node. Repeatable."""

    def remove_network(self, name: str) -> None:
        """Remove the network; does nothing when there is none."""

    def node_states(self) -> dict[str, str]:
        """The state of each container or machine by name: `running`, `stopped`, or `created` (never started)."""

    def run_node(self, node: NodeSpec) -> None:
        """Make and start a node."""

    def start_node(self, container: str) -> None:
        """Power on a node that exists."""

    def kill_node(self, container: str) -> None:
        """Pull a node's plug: no shutdown, its disks stay."""

    def remove_nodes(self, containers: list[str]) -> None:
        """Kill and delete these nodes with their disks; those that are not there are passed over."""

    def console(self, container: str) -> str:
        """The command that shows what the node wrote to its console."""

    def removal(self, containers: list[str], network: str) -> str:
        """The command that removes nodes and their network when no record says whose they are."""


def choose_engine(name: str | None = None) -> Engine:
    """The engine called `name`, else that of $PROVISION_SANDBOX_ENGINE, else podman or docker, whichever is installed.

    Raises UsageError for a name nobody knows and PreflightRefused when there is none.
    """
    from provision.sandbox.containers import Docker, Podman
    from provision.sandbox.qemu.engine import Qemu

    if (wanted := name or os.environ.get("PROVISION_SANDBOX_ENGINE")) == Qemu.name:
        return Qemu()
    known = {"podman": Podman, "docker": Docker}
    if wanted and wanted not in known:
        raise UsageError(f"there is no sandbox engine {wanted!r}", hint=f"the engines are {', '.join(known)}, qemu")
    candidates = [wanted] if wanted else list(known)
    for candidate in candidates:
        if shutil.which(candidate):
            return known[candidate]()
    raise PreflightRefused(
        f"the sandbox needs {' or '.join(candidates)} to run nodes, which is not installed",
        hint="apt-get install podman runc mmdebstrap",
    )


def mac_for(address: str) -> str:
    """A network card that stays the same when the node is powered off and on: others go on knowing it."""
    return "02:70:" + ":".join(f"{int(part):02x}" for part in address.split("."))
