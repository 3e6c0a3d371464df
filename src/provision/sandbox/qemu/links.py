"""The machines' network: a bridge for each sandbox, with this machine's address on it, and a tap for each machine."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from provision.sandbox.commands import run
from provision.sandbox.engine import Network

_FILTERED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def bridge_name(network: str) -> str:
    """The bridge of a sandbox's network; the kernel takes 15 characters."""
    return f"pvb-{_short(network)}"


def tap_name(machine: str) -> str:
    """This machine's end of the cable of a virtual machine."""
    return f"pvt-{_short(machine)}"


def make_bridge(network: Network) -> None:
    """Make the bridge when it is not there, and let frames pass between its machines."""
    bridge = bridge_name(network.name)
    if not _exists(bridge):
        run(["ip", "link", "add", bridge, "type", "bridge", "forward_delay", "0"])
    run(["ip", "link", "set", bridge, "up"])
    rule = _pass_rule(bridge)
    # Where docker filters bridged frames too, its default is to drop those of strangers.
    if _filtered() and not _holds(["iptables", "-C", *rule]):
        run(["iptables", "-I", *rule])


def open_gateway(network: Network) -> None:
    """Give this machine the gateway's address on the bridge; nothing is passed on from there."""
    bridge = bridge_name(network.name)
    Path(f"/proc/sys/net/ipv4/conf/{bridge}/forwarding").write_text("0\n")
    prefix = network.subnet.partition("/")[2]
    run(["ip", "address", "replace", f"{network.gateway}/{prefix}", "dev", bridge])


def remove_bridge(network: str) -> None:
    """Remove the bridge when it is there."""
    bridge = bridge_name(network)
    rule = _pass_rule(bridge)
    if _filtered() and _holds(["iptables", "-C", *rule]):
        run(["iptables", "-D", *rule])
    remove_link(bridge)


def make_tap(machine: str, network: str) -> str:
    """Make the machine's tap when it is not there, plugged into its bridge; returns its name."""
    tap = tap_name(machine)
    if not _exists(tap):
        run(["ip", "tuntap", "add", "dev", tap, "mode", "tap"])
    run(["ip", "link", "set", tap, "master", bridge_name(network), "up"])
    return tap


def remove_link(name: str) -> None:
    """Remove a bridge or a tap when it is there."""
    if _exists(name):
        run(["ip", "link", "delete", name])


def _exists(name: str) -> bool:
    return any(link["ifname"] == name for link in json.loads(run(["ip", "-json", "link", "show"])))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _pass_rule(bridge: str) -> list[str]:
    return ["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"]


def _filtered() -> bool:
    return bool(shutil.which("iptables")) and _FILTERED.exists() and _FILTERED.read_text().strip() == "1"


def _holds(argv: list[str]) -> bool:
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
