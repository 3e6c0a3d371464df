"""Nodes as virtual machines."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from provision.errors import PreflightRefused
from provision.sandbox.engine import MACHINE, Network, NodeSpec, mac_for
from provision.sandbox.qemu import disks, links
from provision.sandbox.qemu.accelerator import accelerator
from provision.sandbox.qemu.machine import Machine, machines

_PROGRAM = "qemu-system-x86_64"
_TOOLS = {_PROGRAM: "qemu-system-x86", "qemu-img": "qemu-utils", "mke2fs": "e2fsprogs"}
# Measured with an emulated processor: what the kernel and systemd do not do is the quickest.
_KERNEL_LINE = (
    "root=/dev/nvme0n1 rw console=ttyS0 net.ifnames=0 mitigations=off init_on_alloc=0 cryptomgr.notests loglevel=5"
    " systemd.ssh_auto=no"
)


class Qemu:
    """Runs each node in a process of its own, which outlives this one."""

    name = "qemu"
    traits = MACHINE

    def check(self) -> None:
        """Refuse where qemu is missing, and where nobody may make network cards."""
        if os.uname().machine != "x86_64":
            raise PreflightRefused(
                f"the engine qemu runs on x86_64, not on {os.uname().machine}", hint="--engine podman"
            )
        missing = [package for tool, package in _TOOLS.items() if not shutil.which(tool)]
        if missing:
            raise PreflightRefused(
                f"virtual machines need {', '.join(missing)}, which is not installed",
                hint=f"apt-get install --no-install-recommends {' '.join(missing)}",
            )
        if os.geteuid() != 0:
            raise PreflightRefused("the sandbox makes a network for its machines: it needs root", hint="use sudo")
        if not Path("/dev/net/tun").exists():
            raise PreflightRefused(
                "this machine has no /dev/net/tun, which virtual machines are connected with", hint="modprobe tun"
            )

    def has_image(self, reference: str) -> bool:
        """Whether the disk and the kernel are in the cache."""
        return disks.has_image(reference)

    def import_image(self, tar: Path, reference: str) -> None:
        """Make a disk of the root file system, and take the kernel out of it."""
        disks.import_image(tar, reference)

    def create_network(self, network: Network) -> None:
        """Make the bridge."""
        links.make_bridge(network)

    def open_gateway(self, network: Network) -> None:
        """Give this machine its address on the bridge."""
        links.open_gateway(network)

    def remove_network(self, name: str) -> None:
        """Remove the bridge."""
        links.remove_bridge(name)

    def node_states(self) -> dict[str, str]:
        """States of the machines of all sandboxes by name."""
        return {name: machine.state for name, machine in machines().items()}

    def run_node(self, node: NodeSpec) -> None:
        """Make a machine with an empty disk on top of the image, and start it."""
        machine = Machine(
            name=node.container,
            hostname=node.hostname,
            address=node.address,
            image=node.image,
            network=node.network,
            identity=str(node.identity),
            memory_mib=self.traits.memory_mib,
        )
        machine.save()
        disks.make_disk(machine)
        _start(machine)

    def start_node(self, container: str) -> None:
        """Power on a machine with the disk that it had."""
        _start(machines()[container])

    def kill_node(self, container: str) -> None:
        """Kill the machine's process."""
        machines()[container].kill()

    def remove_nodes(self, containers: list[str]) -> None:
        """Kill machines and remove their disks and network cards."""
        known = machines()
        for machine in [known[name] for name in containers if name in known]:
            machine.kill()
            links.remove_link(links.tap_name(machine.name))
            shutil.rmtree(machine.home)

    def console(self, container: str) -> str:
        """The command that shows what the machine wrote to its console."""
        found = machines().get(container)
        return f"tail -n 50 {found.console}" if found else "provision sandbox list"

    def removal(self, containers: list[str], network: str) -> str:
        """The machines' processes and directories, and the bridge."""
        found = [machine for name, machine in machines().items() if name in containers]
        kill = [f"kill -9 $(cat {machine.home}/pid)" for machine in found if machine.state == "running"]
        remove = f"rm -r {' '.join(str(machine.home) for machine in found)}"
        return "; ".join([*kill, remove, f"ip link delete {links.bridge_name(network)}"])


def _start(machine: Machine) -> None:
    machine.start(command_line(machine, links.make_tap(machine.name, machine.network)))


def command_line(machine: Machine, tap: str) -> list[str]:
    """The command line of the machine's qemu; makes the disk that tells the machine who it is."""
    cloud = disks.is_cloud_image(machine.image)
    return [
        *(_PROGRAM, "-name", machine.name, "-machine", "q35,vmport=off,hpet=off"),
        *accelerator(None if cloud else disks.kernel(machine.image)),
        *("-m", str(machine.memory_mib), "-no-user-config", "-nodefaults", "-display", "none"),
        *("-chardev", f"file,id=console,path={machine.console},append=on", "-serial", "chardev:console"),
        *("-netdev", f"tap,id=uplink,ifname={tap},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=uplink,mac={mac_for(machine.address)}", "-device", "virtio-rng-pci"),
        # The machine lives as long as this one: what it flushes need not reach the real disk.
        *("-drive", f"if=none,id=root,file={machine.disk},cache=unsafe,discard=unmap"),
        *(_cloud_devices(machine) if cloud else _own_devices(machine)),
    ]


def _own_devices(machine: Machine) -> list[str]:
    """The kernel has the driver of NVMe built in, so that it needs no initial file system."""
    return [
        *("-device", "nvme,drive=root,serial=root"),
        *("-drive", f"if=none,id=identity,file={disks.make_identity(machine)},format=raw,readonly=on"),
        *("-device", "virtio-blk-pci,drive=identity"),
        *("-kernel", str(disks.kernel(machine.image)), "-append", _KERNEL_LINE),
    ]


def _cloud_devices(machine: Machine) -> list[str]:
    """A disk that starts by itself, and one with the files of a directory, called as cloud-init wants it."""
    return [
        *("-device", "virtio-blk-pci,drive=root,bootindex=0"),
        *("-drive", f"if=none,id=seed,driver=vvfat,dir={disks.make_seed(machine)},label=cidata,read-only=on"),
        *("-device", "virtio-blk-pci,drive=seed"),
    ]
