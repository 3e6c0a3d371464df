"""The `kernel` module: only what differs is touched, and what the kernel lacks is said."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from .module_runner import ModuleRunner, Tools, load


class Node:
    """A machine's /proc, /sys and /lib/modules below a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.put("/proc/swaps", "Filename Type Size Used Priority\n")

    def put(self, path: str, text: str) -> None:
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def built_in(self, *names: str) -> None:
        listing = "".join(f"kernel/fs/{name}.ko\n" for name in names)
        self.put(f"/lib/modules/{os.uname().release}/modules.builtin", listing)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "root")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    return Tools(tmp_path, monkeypatch)


@pytest.fixture
def kernel(node: Node, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loaded = load("kernel")
    monkeypatch.setattr(loaded, "ROOT", str(node.root))
    return loaded


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def test_loads_only_what_is_neither_loaded_nor_built_in(
    run: ModuleRunner, kernel: ModuleType, node: Node, tools: Tools
) -> None:
    node.path("/sys/module/br_netfilter").mkdir(parents=True)
    node.built_in("overlay")
    tools.add("modprobe")

    result = run(kernel, modules=["overlay", "br-netfilter", "rbd"])

    assert result["changes"] == ["load rbd"]
    assert tools.calls() == ["modprobe rbd"]


@pytest.mark.parametrize(
    ("module", "path", "text"),
    [
        ("overlay", "/proc/filesystems", "nodev\toverlay\n"),
        ("br_netfilter", "/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n"),
        ("nf_conntrack", "/proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
    ],
)
def test_a_feature_without_a_module_counts_as_there(
    run: ModuleRunner, kernel: ModuleType, node: Node, module: str, path: str, text: str
) -> None:
    assert run(kernel, check=True, modules=[module])["changed"]
    node.put(path, text)
    assert not run(kernel, check=True, modules=[module])["changed"]


def test_a_module_that_is_needed_must_load_an_optional_one_need_not(
    run: ModuleRunner, kernel: ModuleType, tools: Tools
) -> None:
    tools.add("modprobe", "echo 'Module not found' >&2; exit 1")
    assert "Module not found" in run(kernel, modules=["rbd"])["msg"]
    assert not run(kernel, optional_modules=["rbd"])["changed"]


def test_sets_only_the_values_that_differ(run: ModuleRunner, kernel: ModuleType, node: Node) -> None:
    node.put("/proc/sys/net/ipv4/ip_forward", "0\n")
    node.put("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
    values = {"net.ipv4.ip_forward": 1, "net.ipv4.tcp_rmem": "4096 131072 6291456"}

    first, second = run(kernel, sysctl=values), run(kernel, sysctl=values)

    assert first["changes"] == ["net.ipv4.ip_forward: 0 -> 1"]
    assert node.path("/proc/sys/net/ipv4/ip_forward").read_text() == "1"
    assert not second["changed"]


def test_an_interface_with_a_dot_is_written_with_slashes(run: ModuleRunner, kernel: ModuleType, node: Node) -> None:
    node.put("/proc/sys/net/ipv4/conf/eth0.100/rp_filter", "1\n")
    run(kernel, sysctl={"net/ipv4/conf/eth0.100/rp_filter": 0})
    assert node.path("/proc/sys/net/ipv4/conf/eth0.100/rp_filter").read_text() == "0"


def test_a_value_that_the_kernel_does_not_know_is_refused(run: ModuleRunner, kernel: ModuleType) -> None:
    assert "sysctl vm.nonsense" in run(kernel, sysctl={"vm.nonsense": 1})["msg"]
    assert run(kernel, check=True, sysctl={"vm.nonsense": 1})["changes"] == ["vm.nonsense: unset -> 1"]


def test_swap_is_turned_off_only_when_asked_and_in_use(
    run: ModuleRunner, kernel: ModuleType, node: Node, tools: Tools
) -> None:
    tools.add("swapoff")
    assert not run(kernel, swap="off")["changed"]
    node.put("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n")
    assert not run(kernel)["changed"]
    assert run(kernel, swap="off")["changes"] == ["swap off"]
    assert tools.calls() == ["swapoff -a"]


def test_check_mode_touches_nothing(run: ModuleRunner, kernel: ModuleType, node: Node, tools: Tools) -> None:
    for name in ("modprobe", "swapoff"):
        tools.add(name)
    node.put("/proc/swaps", "Filename Type Size Used Priority\n/swap file 1 0 -2\n")
    node.put("/proc/sys/net/ipv4/ip_forward", "0\n")

    result = run(kernel, check=True, modules=["rbd"], sysctl={"net.ipv4.ip_forward": 1}, swap="off")

    assert result["changes"] == ["load rbd", "net.ipv4.ip_forward: 0 -> 1", "swap off"]
    assert tools.calls() == []
    assert node.path("/proc/sys/net/ipv4/ip_forward").read_text() == "0\n"
