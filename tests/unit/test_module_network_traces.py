"""What a pod network left goes and what is not of Kubernetes stays: real links and rules, in a network of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .module_runner import PLUGINS, ModuleRunner, Tools, load

MODULE = """
import runpy, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = sys.argv[2].encode(), "legacy"
runpy.run_path(sys.argv[1], run_name="__main__")
"""
LINKS = (
    *("cni0", "kube-ipvs0", "nodelocaldns", "flannel.1", "flannel-v6.1", "vxlan.calico"),
    *("cali1a2b", "cilium_host", "lxc_health"),
)
CHAINS = ("KUBE-SERVICES", "cali-INPUT", "FLANNEL-FWD", "CNI-HOSTPORT-DNAT", "CILIUM_INPUT", "OLD_CILIUM_INPUT")
# A chain that the host's kube-proxy leads to, as iptables writes it.
LEADING = "iptables -N KUBE-SERVICES; iptables -A INPUT -m comment --comment k8s -j KUBE-SERVICES"


class Network:
    """Network and mount namespaces of their own, in which the module and the real tools run."""

    def __init__(self) -> None:
        script = "mount -t sysfs sysfs /sys && iptables --version && nft list ruleset && echo ready && exec cat"
        pipe = subprocess.PIPE
        self.holder = subprocess.Popen(["unshare", "-rnm", "sh", "-c", script], stdin=pipe, stdout=pipe, stderr=pipe)
        assert self.holder.stdout is not None
        version = self.holder.stdout.readline()
        self.ready = b"nf_tables" in version and self.holder.stdout.readline() == b"ready\n"

    def enter(self, *words: str) -> str:
        """Run a program there and return its output."""
        assert self.ready
        entry = ["nsenter", f"--target={self.holder.pid}", "--user", "--preserve-credentials", "--net", "--mount"]
        return subprocess.run([*entry, *words], check=True, capture_output=True, text=True).stdout

    def sh(self, script: str) -> str:
        """Run a shell script there."""
        return self.enter("sh", "-ec", script)

    def clean(self, *, check: bool = False) -> dict[str, Any]:
        """Run the module there."""
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check}})
        file = str(PLUGINS / "modules/network_traces.py")
        result: dict[str, Any] = json.loads(self.enter(sys.executable, "-c", MODULE, file, arguments))
        return result

    @property
    def links(self) -> set[str]:
        return set(self.sh("ls /sys/class/net").split()) - {"lo"}

    @property
    def rules(self) -> str:
        return self.sh("nft list ruleset")


@pytest.fixture
def network() -> Iterator[Network]:
    if not all(map(shutil.which, ("unshare", "nsenter", "ip", "nft", "iptables"))):
        pytest.skip("needs unshare, nsenter, ip, nft and iptables")
    made = Network()
    with made.holder:
        try:
            if not made.ready:
                pytest.skip("no network namespace with nftables can be made here")
            yield made
        finally:
            made.holder.kill()


def test_the_links_of_pods_go_once_and_others_stay(network: Network) -> None:
    for name in (*LINKS, "cni1", "calm0"):
        network.sh(f"ip link add {name} type bridge")
    network.sh("ip link add lxc1 type veth peer name lxc2")  # one takes the other along
    first, second = network.clean(), network.clean()
    assert first["changed"] is True
    assert set(first["removed"]) == {f"link {name}" for name in (*LINKS, "lxc1", "lxc2")}
    assert network.links == {"cni1", "calm0"}
    assert (second["changed"], second["removed"]) == (False, [])


def test_a_table_that_holds_nothing_else_goes_whole(network: Network) -> None:
    network.sh(LEADING)
    network.sh("nft 'add table ip kube-proxy; add chain ip kube-proxy services; add table inet provision-masquerade'")
    network.sh(
        "nft 'add table ip6 cali-raw; add table inet flannel-ipv4; add table inet mine; add chain inet mine KUBE-X'"
    )
    result = network.clean()
    assert set(result["removed"]) == {
        "flush chain inet mine KUBE-X",
        "delete chain inet mine KUBE-X",
        "delete table inet flannel-ipv4",
        "delete table inet provision-masquerade",
        "delete table ip filter",
        "delete table ip kube-proxy",
        "delete table ip6 cali-raw",
    }
    assert network.rules == "table inet mine {\n}\n"
    assert network.clean()["changed"] is False


def test_beside_rules_of_the_hosts_own_only_ours_go(network: Network) -> None:
    network.sh(
        "iptables -N MY-KUBE-CHAIN; iptables -A INPUT -p tcp -j MY-KUBE-CHAIN; iptables -A MY-KUBE-CHAIN -j DROP"
    )
    before = network.sh("iptables -S")
    for name in CHAINS:
        network.sh(f"iptables -N {name}; iptables -I INPUT -m comment --comment k8s -j {name}")
    network.sh("iptables -N KUBE-MARK; iptables -A KUBE-SERVICES -j KUBE-MARK; iptables -A KUBE-MARK -j ACCEPT")
    removed = network.clean()["removed"]
    assert sum(words.startswith("delete rule ip filter INPUT ") for words in removed) == len(CHAINS)
    assert len(removed) == 3 * len(CHAINS) + 2  # those rules, and each chain is emptied and deleted
    assert network.sh("iptables -S") == before
    assert network.clean()["changed"] is False


@pytest.mark.parametrize("own", ["iptables -P FORWARD DROP", "iptables -N mine"], ids=["policy", "chain"])
def test_a_table_stays_for_what_is_no_rule(network: Network, own: str) -> None:
    network.sh(own)
    before = network.sh("iptables -S")
    network.sh(LEADING)
    assert network.clean()["changed"] is True
    assert network.sh("iptables -S") == before
    assert network.clean()["changed"] is False


def test_a_firewall_without_ours_is_left_alone(network: Network) -> None:
    network.sh("iptables -N MINE; iptables -t nat -A POSTROUTING -j ACCEPT")
    before = network.rules
    assert network.clean()["changed"] is False
    assert network.rules == before


def test_check_mode_tells_the_same_and_removes_nothing(network: Network) -> None:
    network.sh(f"{LEADING}; ip link add cni0 type bridge")
    before = network.rules
    told = network.clean(check=True)
    assert (network.rules, network.links) == (before, {"cni0"})
    assert told == {**network.clean(), "invocation": told["invocation"]}
    assert told["removed"] == ["link cni0", "delete table ip filter"]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Nothing that follows may reach the links and rules of the machine that the tests run on."""
    made = Tools(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", str(made.directory))
    made.add("ip")
    return made


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = load("network_traces")
    monkeypatch.setattr(made, "LINKS", ())
    return made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> ModuleRunner:
    return ModuleRunner(monkeypatch, capsys)


def test_a_link_that_stays_is_named(
    run: ModuleRunner, module: ModuleType, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINKS", ("lo",))
    result = run(module)
    assert (result["failed"], result["msg"]) == (True, "lo could not be removed")
    assert tools.calls() == ["ip link delete lo"]


def test_what_nft_refuses_is_told_in_its_words(run: ModuleRunner, module: ModuleType, tools: Tools) -> None:
    table = json.dumps({"nftables": [{"table": {"family": "ip", "name": "kube-proxy"}}]})
    refusal = "while read -r _; do :; done; echo 'Error: Device or resource busy' >&2; exit 1"
    tools.add("nft", f"[ \"$1\" = -j ] && echo '{table}' && exit; {refusal}")
    result = run(module)
    assert (result["failed"], result["msg"]) == (True, "Error: Device or resource busy")
    assert tools.calls() == ["nft -j list ruleset", "nft -f -"]


@pytest.mark.parametrize("script", ["", "echo no JSON; exit 1"], ids=["empty", "no nftables in the kernel"])
def test_rules_that_cannot_be_listed_are_none(run: ModuleRunner, module: ModuleType, tools: Tools, script: str) -> None:
    tools.add("nft", script)
    result = run(module)
    assert (result["changed"], result["removed"], tools.calls()) == (False, [], ["nft -j list ruleset"])


def test_without_nft_there_are_no_rules(run: ModuleRunner, module: ModuleType, tools: Tools) -> None:
    result = run(module)
    assert (result["changed"], result["removed"], tools.calls()) == (False, [], [])
