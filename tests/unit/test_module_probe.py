"""The probe's parsers, on texts recorded from real machines, and the module itself on this one."""

from __future__ import annotations

import ast
import json
import os
import socket
from pathlib import Path

import pytest

from tests.unit.module_runner import PLUGINS, Clock, ModuleRunner, load  # also makes module_utils importable

from ansible.module_utils import host_facts as facts  # isort: skip  # type: ignore[attr-defined]

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nVERSION_CODENAME=trixie\nID=debian\n'
ROCKY = 'VERSION_ID="9.5"\nID="rocky"\nID_LIKE="rhel centos fedora"\nPRETTY_NAME="Rocky Linux 9.5"\n'
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROW = "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1 0000000000000000 100\n"
NOBODY = "00000000:0000"
TCP = (
    HEADER
    + ROW.format(local="00000000:192B", remote=NOBODY, state="0A", inode=41000)
    + ROW.format(local="0100007F:094B", remote=NOBODY, state="0A", inode=41001)
    + ROW.format(local="0B004D0A:192B", remote="0C004D0A:A1B2", state="01", inode=41002)
)
TCP6 = HEADER + ROW.format(local="0" * 32 + ":280A", remote="0" * 32 + ":0000", state="0A", inode=42000)
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
LOOPBACK = {"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}
LINKS = [
    {"ifname": "lo", "address": "00:00:00:00:00:00", "addr_info": [LOOPBACK]},
    {
        "ifname": "eth0",
        "address": "02:00:00:00:00:01",
        "addr_info": [
            {"local": "10.77.0.11", "prefixlen": 24, "scope": "global"},
            {"local": "10.77.0.10", "prefixlen": 32, "scope": "global"},
            {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
        ],
    },
    {"ifname": "down0", "address": "02:00:00:00:00:02", "addr_info": []},
]


@pytest.mark.parametrize(
    ("text", "name", "version", "family"),
    [(DEBIAN, "debian", "13", "debian"), (ROCKY, "rocky", "9.5", "redhat"), ("ID=alpine\n", "alpine", "", "other")],
)
def test_os_release(text: str, name: str, version: str, family: str) -> None:
    found = facts.os_release(text)
    assert (found["os_id"], found["os_version"], found["os_family"]) == (name, version, family)


def test_ubuntu_is_of_debians_family() -> None:
    found = facts.os_release("ID=ubuntu\nID_LIKE=debian\nVERSION_ID='24.04'\nVERSION_CODENAME=noble\n")
    assert (found["os_family"], found["os_version"], found["os_codename"]) == ("debian", "24.04", "noble")


def test_memory_and_swap() -> None:
    assert facts.memory_mb("MemTotal:       24682888 kB\nMemFree: 1 kB\n") == 24104
    assert facts.memory_mb("") == 0
    assert facts.swap_devices("Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 100 0 -2\n") == ["/dev/sda2"]
    assert facts.swap_devices("Filename\tType\tSize\tUsed\tPriority\n") == []


@pytest.mark.parametrize(
    ("mounts", "version"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", 2),
        ("tmpfs /sys/fs/cgroup tmpfs ro 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n", 1),
        ("", 1),
    ],
)
def test_cgroup_version(mounts: str, version: int) -> None:
    assert facts.cgroup_version(mounts) == version


def test_listeners_are_listening_sockets_of_the_wanted_ports() -> None:
    assert facts.listeners(TCP, {6443, 2379}) == {6443: "41000", 2379: "41001"}
    assert facts.listeners(TCP, {10250}) == {}
    assert facts.listeners(TCP6, {10250}) == {10250: "42000"}


def test_interfaces_have_a_global_address_and_their_prefix() -> None:
    assert facts.interfaces(json.dumps(LINKS)) == [
        {
            "name": "eth0",
            "mac": "02:00:00:00:00:01",
            "addresses": [{"address": "10.77.0.11", "prefix": 24}, {"address": "10.77.0.10", "prefix": 32}],
        }
    ]
    assert facts.interfaces("") == []


def test_the_default_interface_has_the_lowest_metric() -> None:
    assert facts.default_interface(ROUTES) == "eth0"
    assert facts.default_interface("") == ""


def test_the_place_of_an_address_is_the_subnet_that_holds_it() -> None:
    links = facts.interfaces(json.dumps(LINKS))
    assert facts.place_of("10.77.0.10", links) == ("eth0", "02:00:00:00:00:01", 24)
    assert facts.place_of("10.78.0.10", links) == ("", "", 0)
    assert facts.place_of("fd00::1", links) == ("", "", 0)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("Kubernetes v1.36.4\n", "1.36.4"),
        ("containerd github.com/containerd/containerd/v2 v2.3.4 abc\n", "2.3.4"),
        ("etcd Version: 3.6.14\nGit SHA: HEAD\nGo Version: go1.26.8\n", "3.6.14"),
        ("", ""),
    ],
)
def test_version_of(output: str, version: str) -> None:
    assert facts.version_of(output) == version


def test_an_arp_answer_is_told_from_other_frames() -> None:
    question = facts.arp_question("02:00:00:00:00:01", "10.77.0.10")
    assert len(question) == 42
    assert question[28:32] == bytes(4)  # asks without teaching anyone an address
    body = b"\x00\x01\x08\x00\x06\x04\x00\x02" + bytes.fromhex("020000000099") + bytes([10, 77, 0, 10])
    answer = bytes.fromhex("020000000001020000000099") + b"\x08\x06" + body + question[6:12] + bytes(4)
    assert facts.arp_answer(answer, "10.77.0.10") == "02:00:00:00:00:99"
    assert facts.arp_answer(answer, "10.77.0.11") == ""
    assert facts.arp_answer(question, "10.77.0.10") == ""
    assert facts.arp_answer(b"", "10.77.0.10") == ""


def test_members_of_etcd_and_whether_they_ever_started() -> None:
    reply = '{"header":{},"members":[{"ID":"1","name":"m1","clientURLs":["https://10.0.0.11:2379"]},{"ID":"2"}]}'
    assert facts.started_members(reply) == {"m1": True, "": False}
    assert facts.started_members("") == {}


def test_a_fingerprint_needs_a_certificate() -> None:
    assert facts.fingerprint("") == ""
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert len(facts.fingerprint("text before\n" + pem + pem)) == 64


def test_the_module_reads_this_machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    result = ModuleRunner(monkeypatch, capsys)("probe", vip="203.0.113.1")
    host = result["host"]
    assert result["changed"] is False
    assert host["memory_mb"] > 0
    assert (host["vip"]["address"], host["vip"]["held"], host["vip"]["interface"]) == ("203.0.113.1", False, "")
    assert host["kubernetes"].keys() == {
        "kubelet_conf", "admin_conf", "manifests", "kubelet_version", "cluster_ca_fingerprint", "api_ready",
        "settings",
    }  # fmt: skip


def test_a_file_that_is_closed_meanwhile_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("probe")
    real = os.readlink

    def readlink(path: str) -> str:
        if path.endswith("/0"):
            raise FileNotFoundError(path)
        return real(path)

    monkeypatch.setattr(module.os, "readlink", readlink)
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = f"socket:[{os.fstat(server.fileno()).st_ino}]"
        assert inode in set(module.open_files(os.getpid()))
    assert list(module.open_files(1 << 30)) == []


def test_a_process_that_starts_between_two_looks_is_the_owner_of_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """As etcd, which its unit starts again and again on a host that was taken out of the cluster."""
    module = load("probe")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        looks = iter([{}, {str(os.getpid()): "etcd"}])
        monkeypatch.setattr(module, "processes", lambda: next(looks))
        assert module.ports_listening({port}, {}) == {str(port): "etcd"}
    assert list(looks) == []


def test_a_port_whose_owner_is_never_seen_is_in_use_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("probe")
    clock = Clock(monkeypatch, module)
    monkeypatch.setattr(module, "processes", dict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert module.ports_listening({port}, {}) == {str(port): ""}
    assert clock.slept == pytest.approx(module.OWNER_WAIT_S, abs=0.2)


def test_the_version_of_an_untouched_program_is_read_and_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("probe")
    program, record = tmp_path / "bin/etcd", tmp_path / "etcd.json"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    status = program.stat()
    record.write_text(
        json.dumps(
            {"version": "3.6.14", "files": {str(program): [status.st_size, status.st_mtime_ns], "/x/etcdctl": []}}
        )
    )
    real = module.read
    monkeypatch.setattr(module, "read", lambda path: real(str(tmp_path / Path(path).name)))

    assert module.output(module.installed("etcd")) == "3.6.14"
    program.write_text("#!/bin/sh\n# by hand\n")
    assert module.installed("etcd") == ""
    record.write_text("{")
    assert module.installed("etcd") == ""
    assert module.installed("kubelet") == ""


def test_the_module_and_its_helpers_need_no_python_newer_than_nodes_have() -> None:
    for path in (PLUGINS / "modules" / "probe.py", PLUGINS / "module_utils" / "host_facts.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
