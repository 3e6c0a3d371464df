"""One virtual machine: what is kept of it, and its process."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from provision.paths import state_home
from provision.sandbox.commands import run
from provision.sandbox.processes import started_at

_END_SECONDS = 10
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Machine:
    """What a machine is started from, every time."""

    name: str
    hostname: str
    address: str
    image: str
    network: str
    identity: str
    """The directory with its ssh keys, its name and its address."""
    memory_mib: int

    @property
    def home(self) -> Path:
        """Its own directory, beside those of the sandbox's other machines."""
        return Path(self.identity).parents[1] / "machines" / self.name

    @property
    def disk(self) -> Path:
        """What it wrote, on top of the image."""
        return self.home / "disk.qcow2"

    @property
    def console(self) -> Path:
        """All that it wrote to its console, since it was made."""
        return self.home / "console.log"

    def save(self) -> None:
        """Write it down, before anything of it is made."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write("machine.json", json.dumps(asdict(self), indent=2) + "\n")

    @property
    def state(self) -> str:
        """`created` before its first start, then `running` or `stopped`."""
        process = self._process()
        if process is None:
            return "created"
        return "running" if started_at(process[0]) == process[1] else "stopped"

    def start(self, argv: Sequence[str]) -> None:
        """Run the command line of its qemu, which goes to the background when all devices are there."""
        pid_file = self.home / "pid"
        pid_file.unlink(missing_ok=True)
        # What it complains of later, for example of the processor, is read with its console.
        run([*argv, "-daemonize", "-pidfile", str(pid_file)], hint=f"see what it said with `tail {self.console}`")
        pid = int(pid_file.read_text())
        self._write("process.json", json.dumps([pid, started_at(pid)]))

    def kill(self) -> None:
        """End exactly its process, at once; returns when it is gone, and does nothing when it is gone already."""
        process = self._process()
        if process is None or self.state != "running":
            return
        os.kill(process[0], signal.SIGKILL)
        deadline = time.monotonic() + _END_SECONDS
        while self.state == "running" and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _write(self, name: str, text: str) -> None:
        """Whole or not at all: machines are started side by side, and each start reads what is kept of all."""
        partial = self.home / f".{name}.partial"
        partial.write_text(text)
        partial.replace(self.home / name)

    def _process(self) -> tuple[int, int] | None:
        """The number of its last process and when that started."""
        record = self.home / "process.json"
        if not record.exists():
            return None
        pid, started = json.loads(record.read_text())
        return pid, started


def machines() -> dict[str, Machine]:
    """All machines of this user's sandboxes by name."""
    files = (state_home() / "sandbox").glob("*/machines/*/machine.json")
    found = [Machine(**json.loads(file.read_text())) for file in files]
    return {machine.name: machine for machine in found}
