"""The engines podman and docker: a node is a privileged container with systemd as its first process."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

from provision.errors import PreflightRefused
from provision.sandbox.commands import run
from provision.sandbox.engine import CONTAINER, Network, NodeSpec, mac_for

_NODE_FLAGS = (
    "--privileged",
    "--cgroupns=private",
    *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec,mode=1777"),  # noqa: S108 - the node's
    # How systemd learns that it runs in a container, and how it wants to be told to shut down.
    *("-e", "container=podman", "--stop-signal", "SIGRTMIN+3"),
    # Overlay file systems do not stack: what containerd mounts must not lie on one.
    *("-v", "/var/lib/containerd", "-v", "/var/lib/etcd", "-v", "/var/lib/kubelet"),
)
_MAX_FILES = 1048576
_MAX_PROCESSES = 30000


class ContainerEngine:
    """What podman and docker do alike."""

    name: str
    traits = CONTAINER
    extra_flags: tuple[str, ...] = ()
    removal_flags: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse when the engine does not answer."""
        self._call("version", hint=f"see why `{self.name} version` fails")

    def has_image(self, reference: str) -> bool:
        """Whether the image is in the engine's store."""
        done = subprocess.run([self.name, "image", "inspect", reference], capture_output=True, check=False)
        return done.returncode == 0

    def import_image(self, tar: Path, reference: str) -> None:
        """Import the tar as an image that starts systemd."""
        self._call("import", "--change", 'CMD ["/sbin/init"]', str(tar), reference)

    def create_network(self, network: Network) -> None:
        """Make an internal network: nothing in it reaches beyond this machine."""
        if not self._inspect("network", network.name):
            self._call("network", "create", "--internal", *self._network_flags(network), network.name)

    def open_gateway(self, network: Network) -> None:
        """Add the gateway's address to the bridge, so that this machine reaches the nodes, and they only it."""
        bridge = self._bridge(network.name)
        # A default route without a way out: what a node sends elsewhere ends here, even where this machine forwards.
        Path(f"/proc/sys/net/ipv4/conf/{bridge}/forwarding").write_text("0\n")
        prefix = network.subnet.partition("/")[2]
        run(["ip", "address", "replace", f"{network.gateway}/{prefix}", "dev", bridge])
        run(["ip", "link", "set", bridge, "up"])

    def remove_network(self, name: str) -> None:
        """Remove the network when it is there."""
        if self._inspect("network", name):
            self._call("network", "rm", name)

    def node_states(self) -> dict[str, str]:
        """States of all containers by name."""
        lines = self._call("ps", "--all", "--format", "{{.Names}} {{.Status}}").splitlines()
        return {name: _state(status) for name, _, status in (line.partition(" ") for line in lines)}

    def run_node(self, node: NodeSpec) -> None:
        """Start a new container for the node."""
        self._call(
            *("run", "--detach", "--name", node.container, "--hostname", node.hostname),
            *("--network", node.network, "--ip", node.address, "--mac-address", mac_for(node.address)),
            *("-v", f"{node.identity}:/etc/sandbox:ro", *_host_modules()),
            *_NODE_FLAGS,
            *self.extra_flags,
            *("--ulimit", _ulimit("nofile", resource.RLIMIT_NOFILE, _MAX_FILES)),
            *("--ulimit", _ulimit("nproc", resource.RLIMIT_NPROC, _MAX_PROCESSES)),
            node.image,
        )

    def start_node(self, container: str) -> None:
        """Start a stopped container."""
        self._call("start", container)

    def kill_node(self, container: str) -> None:
        """Kill the container without asking its systemd."""
        self._call("kill", container)

    def remove_nodes(self, containers: list[str]) -> None:
        """Remove containers and their anonymous volumes."""
        # On a busy machine a container at times dies, or its disk comes free, just after the engine gave up on it.
        for last in (False, False, True):
            present = [name for name in containers if name in self.node_states()]
            if not present:
                return
            try:
                self._call("rm", "--force", "--volumes", *self.removal_flags, *present)
            except PreflightRefused:
                if last:
                    raise

    def console(self, container: str) -> str:
        """The command that shows the container's output."""
        return f"{self.name} logs {container}"

    def removal(self, containers: list[str], network: str) -> str:
        """The engine's own commands."""
        return f"{self.name} rm --force --volumes {' '.join(containers)}; {self.name} network rm {network}"

    def _network_flags(self, network: Network) -> list[str]:
        raise NotImplementedError

    def _bridge(self, network: str) -> str:
        raise NotImplementedError

    def _inspect(self, kind: str, name: str) -> dict[str, Any]:
        """The engine's description of an object; empty when there is none."""
        done = subprocess.run([self.name, kind, "inspect", name], capture_output=True, text=True, check=False)
        found = json.loads(done.stdout) if done.returncode == 0 else []
        return dict(found[0]) if found else {}

    def _call(self, *arguments: str, hint: str | None = None) -> str:
        return run([self.name, *arguments], hint=hint)


class Podman(ContainerEngine):
    """Nodes in podman."""

    name = "podman"
    # podman's own systemd mode binds the machine's systemd hierarchy into every node where cgroups are hybrid:
    # the kubelets of all nodes then share one tree.
    extra_flags: tuple[str, ...] = ("--systemd=false",)
    # Else podman asks a node to shut down first, and waits for ten seconds.
    removal_flags: tuple[str, ...] = ("--time", "0")

    def __init__(self) -> None:
        if runtime := shutil.which("runc"):
            self.extra_flags = (*self.extra_flags, "--runtime", runtime)

    def check(self) -> None:
        """Refuse without root, and where only runc can run nodes and is missing."""
        if os.geteuid() != 0:
            raise PreflightRefused("the sandbox makes networks and privileged nodes: it needs root", hint="use sudo")
        unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        if not unified and not shutil.which("runc"):
            raise PreflightRefused(
                "this machine has cgroup v1, where only runc runs nodes, and runc is not installed",
                hint="apt-get install runc",
            )
        super().check()

    def _network_flags(self, network: Network) -> list[str]:
        return ["--subnet", network.subnet, "--disable-dns"]

    def _bridge(self, network: str) -> str:
        return str(self._inspect("network", network)["network_interface"])


class Docker(ContainerEngine):
    """Nodes in docker."""

    name = "docker"

    def check(self) -> None:
        """Refuse without root, and when the daemon does not answer."""
        if os.geteuid() != 0:
            raise PreflightRefused("the sandbox makes networks and privileged nodes: it needs root", hint="use sudo")
        self._call("version", hint="systemctl start docker")

    def _network_flags(self, network: Network) -> list[str]:
        return ["--subnet", network.subnet, "--gateway", network.gateway]

    def _bridge(self, network: str) -> str:
        return f"br-{self._inspect('network', network)['Id'][:12]}"


def _state(status: str) -> str:
    """One word for what `ps` tells people, such as `Up 3 seconds` or `Exited (137) 1 minute ago`."""
    word = status.partition(" ")[0].lower()
    return {"up": "running", "created": "created", "initialized": "created"}.get(word, "stopped")


def _host_modules() -> tuple[str, ...]:
    """Nodes load kernel modules of this machine, where its kernel has any."""
    return ("-v", "/lib/modules:/lib/modules:ro") if Path("/lib/modules").is_dir() else ()


def _ulimit(name: str, which: int, wanted: int) -> str:
    """As much as is wanted and as this process may give away."""
    hard = resource.getrlimit(which)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    return f"{name}={value}:{value}"
