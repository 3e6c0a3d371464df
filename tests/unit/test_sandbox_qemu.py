"""What qemu is told, and what is kept of a machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from provision.errors import InvalidInput, PreflightRefused, UsageError
from provision.sandbox import image, lifecycle, overlay
from provision.sandbox.engine import CONTAINER, MACHINE, Network, NodeSpec, choose_engine
from provision.sandbox.qemu import accelerator, disks, engine, links, machine
from provision.sandbox.qemu.machine import Machine, machines
from tests.unit.test_sandbox import _Engine


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that was written down, with its identity."""
    monkeypatch.setenv("PROVISION_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PROVISION_CACHE_DIR", str(tmp_path / "cache"))
    identity = tmp_path / "state/sandbox/box/nodes/box-cp1"
    identity.mkdir(parents=True)
    for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", "authorized_keys"):
        (identity / name).write_text(f"{name}\n")
    (identity / "network").write_text("NAME=cp1\nADDRESS=192.0.2.11/24\nGATEWAY=192.0.2.1\n")
    found = Machine("box-cp1", "cp1", "192.0.2.11", "localhost/provision-machine:x-1", "net", str(identity), 2048)
    found.save()
    return found


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "accelerator", lambda _kernel: accelerator.EMULATED)
    monkeypatch.setattr(disks, "run", lambda *_, **__: "")


def _process(made: Machine) -> subprocess.Popen[bytes]:
    """A process that stands for the machine's qemu."""
    process = subprocess.Popen(["sleep", "60"])
    (made.home / "process.json").write_text(json.dumps([process.pid, machine.started_at(process.pid)]))
    return process


def test_a_record_is_whole_while_it_is_written_again(made: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines are started side by side, and each looks for all others."""
    write, seen = Path.write_text, []

    def half(path: Path, text: str) -> int:
        write(path, text[: len(text) // 2])
        seen.append(machines()[made.name])
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", half)
    made.save()

    assert seen == [made]


def test_an_emulated_machine_has_one_processor_and_a_real_one_two(
    made: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "run", lambda *_, **__: "")
    for options, count in ((accelerator.EMULATED, "1"), (accelerator.KVM, "2")):
        monkeypatch.setattr(engine, "accelerator", lambda _kernel, options=options: options)
        argv = engine.command_line(made, "tap1")
        assert argv.count("-smp") == 1
        assert argv[argv.index("-smp") + 1] == count


def test_a_machine_starts_from_its_own_disk_kernel_card_and_keys(made: Machine, emulated: None) -> None:
    argv = " ".join(engine.command_line(made, "tap1"))

    assert f"file={made.disk},cache=unsafe" in argv
    assert f"-kernel {disks.kernel(made.image)} -append root=/dev/nvme0n1 rw " in argv
    assert "mac=02:70:c0:00:02:0b" in argv
    assert "tap,id=uplink,ifname=tap1,script=no" in argv
    assert f"file={made.home}/identity.img,format=raw,readonly=on" in argv
    assert "-m 2048 " in argv
    assert f"path={made.home}/console.log,append=on" in argv


def test_a_cloud_image_starts_by_itself_and_is_told_who_it_is(made: Machine, emulated: None, tmp_path: Path) -> None:
    cloud = Machine(**{**made.__dict__, "image": str(tmp_path / "cloud.img")})
    argv = " ".join(engine.command_line(cloud, "tap1"))

    assert "-kernel" not in argv
    assert "driver=vvfat" in argv
    assert "label=cidata" in argv
    seed = cloud.home / "seed"
    assert "local-hostname: cp1" in (seed / "meta-data").read_text()
    assert "addresses: [192.0.2.11/24]" in (seed / "network-config").read_text()
    assert (seed / "user-data").read_text().startswith("#cloud-config\n")
    assert "    ssh_host_ed25519_key\n" in (seed / "user-data").read_text()
    assert seed.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("start", "kind"), [(b"QFI\xfb\0\0", "qcow2"), (b"\0" * 512, "raw")])
def test_a_cloud_images_format_is_read_from_it(
    made: Machine, start: bytes, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = tmp_path / "cloud.img"
    cloud.write_bytes(start)
    calls: list[list[str]] = []
    monkeypatch.setattr(disks, "run", lambda argv, **_: calls.append(argv) or "")

    disks.make_disk(Machine(**{**made.__dict__, "image": str(cloud)}))

    assert calls[0][calls[0].index("-F") + 1] == kind
    assert calls[0][-1] == "20G"


def test_a_machine_is_created_then_runs_then_is_stopped(made: Machine) -> None:
    assert machines()["box-cp1"].state == "created"
    process = _process(made)
    assert made.state == "running"

    made.kill()

    assert process.wait() == -signal.SIGKILL
    assert made.state == "stopped"
    made.kill()


def test_a_later_process_with_the_same_number_is_left_alone(made: Machine) -> None:
    started = machine.started_at(os.getpid())
    assert started is not None
    (made.home / "process.json").write_text(json.dumps([os.getpid(), started + 1]))

    assert made.state == "stopped"
    made.kill()


def test_removing_takes_the_process_the_card_and_the_disk(made: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    process = _process(made)
    removed: list[str] = []
    monkeypatch.setattr(links, "remove_link", removed.append)

    engine.Qemu().remove_nodes(["box-cp1", "unknown"])

    assert process.wait() == -signal.SIGKILL
    assert removed == [links.tap_name("box-cp1")]
    assert not made.home.exists()
    assert machines() == {}


def test_starting_again_makes_no_new_disk(made: Machine, emulated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[str]] = []
    monkeypatch.setattr(engine.links, "make_tap", lambda name, network: f"{name}-{network}")
    monkeypatch.setattr(Machine, "start", lambda _self, argv: told.append(argv))
    monkeypatch.setattr(disks, "make_disk", lambda _machine: pytest.fail("a new disk"))

    engine.Qemu().start_node("box-cp1")

    assert "tap,id=uplink,ifname=box-cp1-net,script=no,downscript=no" in told[0]


def test_a_lost_machine_can_be_removed_by_hand(made: Machine) -> None:
    process = _process(made)
    try:
        command = engine.Qemu().removal(["box-cp1"], "net")
    finally:
        process.kill()
        process.wait()

    assert command.startswith(f"kill -9 $(cat {made.home}/pid); rm -r {made.home}; ip link delete pvb-")
    assert engine.Qemu().console("box-cp1") == f"tail -n 50 {made.console}"


def test_names_of_links_are_short_enough_and_differ() -> None:
    names = {links.bridge_name("provision-a"), links.bridge_name("provision-b"), links.tap_name("provision-a")}

    assert len(names) == 3
    assert all(len(name) <= 15 for name in names)


@pytest.mark.parametrize("missing", ["qemu-system-x86_64", "qemu-img"])
def test_missing_programs_are_named_with_the_command(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.shutil, "which", lambda name: None if name == missing else f"/usr/bin/{name}")

    with pytest.raises(PreflightRefused) as refused:
        engine.Qemu().check()

    assert refused.value.hint == f"apt-get install --no-install-recommends {engine._TOOLS[missing]}"


def test_a_machine_needs_two_gibibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle.checks, "_available_memory", lambda: 4000)

    lifecycle.checks.check_room(2, CONTAINER)
    lifecycle.checks.check_room(1, MACHINE)
    with pytest.raises(PreflightRefused, match="2 nodes take about 4096 MiB, 4000 MiB are free"):
        lifecycle.checks.check_room(2, MACHINE)


class TestAccelerator:
    """KVM is believed only when a guest has run."""

    @pytest.fixture(autouse=True)
    def _device(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PROVISION_CACHE_DIR", str(tmp_path))
        (tmp_path / "kvm").touch()
        monkeypatch.setattr(accelerator, "_DEVICE", tmp_path / "kvm")

    @pytest.mark.parametrize(
        ("code", "said", "options"),
        [
            (0, b"Kernel panic - not syncing: VFS", accelerator.KVM),
            (0, b"", accelerator.EMULATED),
            (-6, b"", accelerator.EMULATED),
        ],
    )
    def test_a_guest_is_started_once(
        self, code: int, said: bytes, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[list[str]] = []

        def run(argv: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
            calls.append(argv)
            return subprocess.CompletedProcess(argv, code, said, b"")

        monkeypatch.setattr(accelerator.subprocess, "run", run)

        assert accelerator.accelerator(Path("/kernel")) == options
        assert accelerator.accelerator(Path("/kernel")) == options
        assert len(calls) == 1
        monkeypatch.setattr(accelerator, "_boot_id", lambda: "a later start")
        accelerator.accelerator(None)
        assert calls[1][calls[1].index("-kernel") + 1].startswith("/boot/vmlinuz-")

    def test_a_guest_that_stands_still_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def hang(argv: list[str], *, timeout: float, **_: object) -> None:
            raise subprocess.TimeoutExpired(argv, timeout)

        monkeypatch.setattr(accelerator.subprocess, "run", hang)

        assert accelerator.accelerator(Path("/kernel")) == accelerator.EMULATED

    def test_without_the_device_nothing_is_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(accelerator, "_DEVICE", Path("/nonexistent"))
        monkeypatch.setattr(accelerator.subprocess, "run", lambda *_, **__: pytest.fail("started"))

        assert accelerator.accelerator(None) == accelerator.EMULATED


def test_the_engine_is_chosen_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_engine("qemu").name == "qemu"
    monkeypatch.setenv("PROVISION_SANDBOX_ENGINE", "qemu")
    assert choose_engine().name == "qemu"
    assert choose_engine().traits.own_kernel


def test_a_machines_image_has_a_kernel_and_a_name_of_its_own() -> None:
    container, virtual = image.recipe(own_kernel=False), image.recipe(own_kernel=True)

    assert set(virtual.packages) - set(container.packages) == {"udev", "linux-image-cloud-amd64"}
    assert image.image_reference("trixie", virtual) != image.image_reference("trixie", container)
    assert (virtual.files[-1] / "customize").exists()


def test_a_cloud_image_is_for_machines_and_must_exist(tmp_path: Path) -> None:
    containers = _Engine()
    with pytest.raises(UsageError, match="virtual machines"):
        lifecycle._image(containers, tmp_path / "cloud.img", None)
    with pytest.raises(InvalidInput, match="no disk image"):
        lifecycle._image(engine.Qemu(), tmp_path / "cloud.img", None)
    (tmp_path / "cloud.img").touch()
    assert lifecycle._image(engine.Qemu(), tmp_path / "cloud.img", None) == str(tmp_path / "cloud.img")


def test_a_machine_keeps_its_own_clock_cgroups_and_swap() -> None:
    only_containers = set(overlay._CONTAINER_NODE) - set(overlay._MACHINE_NODE)

    assert {"kubernetes_cgroup_v1_allowed", "host_swap", "host_time_sync_enabled"} <= only_containers


def test_a_bridge_is_made_once_and_docker_is_told_to_let_it_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    there: set[str] = set()

    def run(argv: list[str], **_: object) -> str:
        calls.append(" ".join(argv))
        if argv[1:3] == ["link", "add"]:
            there.add(argv[3])
        return json.dumps([{"ifname": name} for name in there])

    (tmp_path / "nf").write_text("1\n")
    monkeypatch.setattr(links, "run", run)
    monkeypatch.setattr(links, "_FILTERED", tmp_path / "nf")
    monkeypatch.setattr(links.shutil, "which", lambda name: f"/sbin/{name}")
    monkeypatch.setattr(links, "_holds", lambda _argv: False)
    network = Network("provision-box", "192.0.2.0/24", "192.0.2.1")

    links.make_bridge(network)
    links.make_bridge(network)

    bridge = links.bridge_name("provision-box")
    assert sum(call.startswith("ip link add") for call in calls) == 1
    assert f"iptables -I FORWARD -i {bridge} -o {bridge} -j ACCEPT" in calls


def test_a_new_machine_is_written_down_before_anything_is_made(
    made: Machine, emulated: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_machine: Machine) -> None:
        raise PreflightRefused("the disk is full")

    monkeypatch.setattr(disks, "make_disk", refuse)
    identity = Path(made.identity).with_name("box-cp2")

    with pytest.raises(PreflightRefused):
        engine.Qemu().run_node(NodeSpec("box-cp2", "cp2", "192.0.2.12", made.image, "net", identity))

    assert engine.Qemu().node_states() == {"box-cp1": "created", "box-cp2": "created"}
