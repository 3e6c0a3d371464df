"""The rendered BIRD configuration at work: nodes are network namespaces on one bridge, BIRD is the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.render.test_network import network

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("bird") or not shutil.which("ip"), reason="needs root, bird and ip"
)
PREFIX = f"pv{os.getpid() % 10000}"


def run(*words: str | Path) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


class Lab:
    """Nodes on one bridge; nothing of it reaches the machine's own network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.spaces = [f"{PREFIX}hub"]
        run("ip", "netns", "add", self.spaces[0])
        self.inside("hub", "ip", "link", "add", "br0", "up", "type", "bridge")

    def inside(self, node: str, *words: str | Path) -> str:
        return run("ip", "netns", "exec", f"{PREFIX}{node}", *words)

    def node(self, name: str, number: int, **options: object) -> None:
        """Start a node with the address 10.77.0.NUMBER and the pod range 10.244.NUMBER.0/24."""
        space = f"{PREFIX}{name}"
        run("ip", "netns", "add", space)
        self.spaces.append(space)
        self.inside("hub", "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", space)
        self.inside("hub", "ip", "link", "set", name, "master", "br0", "up")
        self.inside(name, "ip", "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
        self.inside(name, "ip", "link", "set", "eth0", "up")
        # The pod bridge has the node's own range, as the CNI plugin makes it.
        self.inside(name, "ip", "link", "add", "cni0", "up", "type", "bridge")
        self.inside(name, "ip", "address", "add", f"10.244.{number}.1/24", "dev", "cni0")
        ranges = {"pod_cidrs": {name: f"10.244.{number}.0/24"}}
        role = network(name, f"10.77.0.{number}", __network_ranges=ranges, **options)
        config = self.folder / f"{name}.conf"
        config.write_text(role.render("bird.conf.j2"))
        control = self.folder / f"{name}.ctl"
        command = ["ip", "netns", "exec", space, "bird", "-f", "-c", config, "-s", control]
        self.processes[name] = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes.pop(name).wait()
        self.inside(name, "ip", "link", "set", "eth0", "down")

    def routes(self, node: str) -> set[tuple[str, str]]:
        """The pod ranges that a node has learned, each with its next hop."""
        lines = self.inside(node, "ip", "route", "show", "proto", "bird").splitlines()
        return {(line.split()[0], line.split()[2]) for line in lines}

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        for space in reversed(self.spaces):
            run("ip", "netns", "delete", space)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    try:
        made = Lab(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr}")
    try:
        yield made
    finally:
        made.close()


def expect(lab: Lab, node: str, numbers: set[int], seconds: float) -> None:
    """The node learns exactly the pod ranges of the nodes with these numbers, in time."""
    wanted = {(f"10.244.{number}.0/24", f"10.77.0.{number}") for number in numbers}
    limit = time.monotonic() + seconds
    while (found := lab.routes(node)) != wanted:
        assert time.monotonic() < limit, f"{node} has {sorted(found)}"
        time.sleep(0.1)


def answers(lab: Lab, node: str, source: str, target: str) -> bool:
    """True when packets go both ways: the target refuses a connection to a closed port."""
    code = (
        "import socket, sys\n"
        "try: socket.create_connection((sys.argv[2], 9), timeout=2, source_address=(sys.argv[1], 0))\n"
        "except ConnectionRefusedError: print('refused')"
    )
    return lab.inside(node, sys.executable, "-c", code, source, target).strip() == "refused"


@pytest.mark.parametrize("password", ["", "signed, with a blank"])
def test_every_node_learns_every_range_and_a_late_one_too(lab: Lab, password: str) -> None:
    options = {"network_bgp_password": password}
    for name, number in {"m1": 11, "m2": 12, "m3": 13, "w1": 21}.items():
        lab.node(name, number, **options)

    for name, number in {"m1": 11, "m2": 12, "m3": 13, "w1": 21}.items():
        expect(lab, name, {11, 12, 13, 21} - {number}, 15)

    lab.node("w2", 22, **options)  # nothing is told to the others
    expect(lab, "w2", {11, 12, 13, 21}, 10)
    expect(lab, "w1", {11, 12, 13, 22}, 10)
    assert answers(lab, "w1", "10.244.21.1", "10.244.22.1")

    # Two of the three reflectors die: the workers still find each other, and the dead ones' ranges go.
    lab.kill("m1")
    lab.kill("m2")
    expect(lab, "w1", {13, 22}, 30)
    assert answers(lab, "w1", "10.244.21.1", "10.244.22.1")
