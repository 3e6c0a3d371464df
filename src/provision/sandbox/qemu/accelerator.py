"""KVM where it runs a guest, else an emulated processor: the only way to know is to start one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from provision import render
from provision.paths import cache_home
from provision.sandbox.locks import locked

KVM = ("-accel", "kvm", "-cpu", "host", "-smp", "2")
# The larger memory keeps what was translated. With one processor a machine's atomic operations need no care, and
# several machines do not wait for each other's halves: two of them on two cores are a quarter quicker. What is left
# out would cost an emulated processor something at each system call and each page.
EMULATED = ("-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,-la57,-smap,-smep", "-smp", "1")
_DEVICE = Path("/dev/kvm")
_PROBE_SECONDS = 15


def accelerator(kernel: Path | None) -> tuple[str, ...]:
    """The options of the fastest processor that works here, found out once after each start of this machine.

    `kernel` is what is started to find out; without one, it is that of this machine.
    """
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return EMULATED
    known, start = cache_home() / "sandbox" / "kvm.json", _boot_id()
    with locked(known.with_suffix(".lock")):
        try:
            answer = json.loads(known.read_text())
        except (OSError, ValueError):
            answer = {}
        if answer.get("boot") != start:
            render.info("Finding out whether KVM runs a guest here")
            answer = {"boot": start, "works": _runs_a_guest(kernel or Path(f"/boot/vmlinuz-{os.uname().release}"))}
            known.write_text(json.dumps(answer) + "\n")
    return KVM if answer["works"] else EMULATED


def _runs_a_guest(kernel: Path) -> bool:
    """Start the kernel without a disk: where KVM works, it gives up within two seconds, and qemu ends with it.

    Where it does not, qemu refuses, or the guest stands still at an instruction that this machine cannot run.
    """
    argv = ["qemu-system-x86_64", "-machine", "q35", *KVM, "-m", "256", "-nodefaults", "-display", "none"]
    argv += ["-no-reboot", "-kernel", str(kernel), "-append", "console=ttyS0 panic=-1", "-serial", "stdio"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_PROBE_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"Kernel panic" in done.stdout


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
