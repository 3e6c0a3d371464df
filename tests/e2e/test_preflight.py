"""Machines that are not fit are refused before anything is changed, each with its reason."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from provision import sandbox
from tests.e2e.site import Site, eventually
from tests.e2e.snapshot import difference, snapshot

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


def refused(site: Site, code: int, *words: str, command: str = "preflight") -> None:
    """The site is refused with this exit code, and these words are told."""
    done = site.provision(command, *(["--yes"] if command == "cluster" else []))
    assert done.code == code, done.text
    for word in words:
        assert word in done.text, done.text


@contextmanager
def on_node(site: Site, name: str, do: str, undo: str) -> Iterator[None]:
    site.run(name, do)
    try:
        yield
    finally:
        site.run(name, undo)


@contextmanager
def instead_of(site: Site, name: str, file: str, content: str) -> Iterator[None]:
    """Shows another content of a file, to everything on the node."""
    copy = f"/tmp/{Path(file).name}"
    do = f"printf %s {shlex.quote(content)} > {copy} && mount --bind {copy} {file}"
    with on_node(site, name, do, f"umount {file}"):
        yield


def test_fit_machines_are_taken(bare: Site) -> None:
    done = bare.provision("preflight")
    assert done.code == 0, done.text


def test_another_ssh_host_key(bare: Site) -> None:
    record, node = sandbox.find_node(bare.file, "w1")
    before = record.known_hosts.read_text()
    other = bare.run("cp1", "cat /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null || cat /etc/sandbox/*host*.pub").split()[
        1
    ]
    lines = [
        f"{node.address} ssh-ed25519 {other}" if line.startswith(node.address) else line for line in before.splitlines()
    ]
    record.known_hosts.write_text("\n".join(lines) + "\n")
    try:
        refused(bare, 5, "w1", "host key")
    finally:
        record.known_hosts.write_text(before)


def test_a_machine_that_is_off(bare: Site) -> None:
    bare.kill("w1")
    try:
        refused(bare, 5, "w1")
    finally:
        bare.up()


def test_a_user_who_is_not_root(bare: Site) -> None:
    do = "useradd --create-home op && cp -r /root/.ssh /home/op/ 2>/dev/null; chown -R op: /home/op"
    with (
        on_node(bare, "w1", do, "pkill -u op; userdel --remove --force op || true"),
        bare.overlay_with("w1", ansible_user="op"),
    ):
        done = bare.provision("preflight")
    assert done.code in (4, 5), done.text
    assert "w1" in done.text
    assert "root" in done.text


def test_a_used_port(bare: Site) -> None:
    do = "systemd-run --quiet --unit squatter python3 -m http.server 6443"
    with on_node(bare, "cp1", do, "systemctl stop squatter"):
        eventually(lambda: bare.run("cp1", "ss -Hltn | grep -q :6443"), seconds=10)
        refused(bare, 4, "cp1", "port 6443", "python3")


def test_swap_in_use(bare: Site) -> None:
    """A container sees its host's swap and is not to blame for it: the node is made to look like a machine."""
    swaps = "Filename Type Size Used Priority\n/dev/sdb2 partition 1048572 0 -2"
    with (
        bare.overlay_with("w1", host_swap="forbid"),
        instead_of(bare, "w1", "/proc/1/environ", ""),
        instead_of(bare, "w1", "/run/systemd/container", ""),
        instead_of(bare, "w1", "/proc/swaps", swaps),
    ):
        refused(bare, 4, "w1", "swap", "/dev/sdb2")


def test_too_little_memory(bare: Site) -> None:
    with instead_of(bare, "cp1", "/proc/meminfo", "MemTotal: 262144 kB\nMemFree: 200000 kB\nMemAvailable: 200000 kB"):
        refused(bare, 4, "cp1", "256 MiB of memory")


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
def test_a_clock_an_hour_off(bare: Site) -> None:
    record, node = sandbox.find_node(bare.file, "w1")
    copy = ["scp", "-q", "-F", "/dev/null", "-o", f"UserKnownHostsFile={record.known_hosts}", "-i", record.key]
    subprocess.run([*copy, FAKETIME[0], f"root@{node.address}:/tmp/libfaketime.so.1"], check=True)
    python = '#!/bin/sh\nexec env LD_PRELOAD=/tmp/libfaketime.so.1 FAKETIME=+3600 /usr/bin/python3 "$@"'
    do = f"cat > /tmp/late <<'END'\n{python}\nEND\nchmod +x /tmp/late"
    with on_node(bare, "w1", do, "rm /tmp/late"), bare.overlay_with("w1", ansible_python_interpreter="/tmp/late"):
        refused(bare, 4, "w1", "clock", "ahead")


def test_a_vip_that_answers_already(bare: Site) -> None:
    vip = f"{bare.network}.10/24"
    with on_node(bare, "w1", f"ip address add {vip} dev eth0", f"ip address delete {vip} dev eth0"):
        refused(bare, 4, f"{bare.network}.10", "VIP")


def test_a_damaged_file_of_the_bundle(bare: Site, tmp_path: Path) -> None:
    record, _ = sandbox.find_node(bare.file, "cp1")
    damaged = tmp_path / "bundle"
    shutil.copytree(record.bundle, damaged, copy_function=_link)
    victim = next((damaged / "files").glob("kubelet-*"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.unlink()
    victim.write_bytes(content)

    overlay = bare.overlay
    before = overlay.read_text()
    overlay.write_text(before.replace(record.bundle, str(damaged)))
    try:
        refused(bare, 4, victim.name)
    finally:
        overlay.write_text(before)


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def test_a_refused_run_changes_nothing_anywhere(bare: Site) -> None:
    before = snapshot(bare)
    with bare.overlay_with("w1", host_memory_min_mb=10_000_000):
        refused(bare, 4, "w1", "memory", command="cluster")
    assert difference(before, snapshot(bare)) == []


def test_the_overlay_is_as_it_was(bare: Site) -> None:
    assert yaml.safe_load(bare.overlay.read_text())["all"]["hosts"]["w1"]["ansible_user"] == "root"
