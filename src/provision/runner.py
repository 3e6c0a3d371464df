"""Runs a playbook: the only place that knows ansible-runner.

Ansible works in a directory of its own that only the operator can read, in memory where the system has such a place,
and that is gone when the run is. What is kept of a run is its record, which `state` writes.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from provision import events
from provision.paths import project_root

Strategy = Literal["mitogen", "linear"]

_MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's own, and only as the parent of a private directory
_GRACE = 15.0
"""Seconds that Ansible gets to end by itself after Ctrl-C."""


@dataclass(frozen=True)
class Invocation:
    """One call of one playbook."""

    playbook: Path
    inventories: tuple[Path, ...]
    check: bool = False
    limit: str | None = None
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    strategy: Strategy = "mitogen"
    verbosity: int = 0


@dataclass(frozen=True)
class Finished:
    """How the playbook ended: Ansible's own exit code, and whether the operator broke it off."""

    code: int
    interrupted: bool


def run(call: Invocation, on_event: Callable[[events.AnyEvent], None]) -> Finished:
    """Run the playbook to its end and hand over each event as it happens. Ctrl-C ends Ansible first, then returns."""
    import ansible_runner

    project = project_root()
    stop = _Stop()

    def handle(record: dict[str, Any]) -> bool:
        stop.watch(record.get("pid"))
        event = events.parse(record, project)
        if isinstance(event, events.HostStarted):
            stop.unheeded()
        if event is not None and not (stop.asked and isinstance(event, events.Message)):
            on_event(event)
        return False  # nothing is written to disk

    with _private_directory() as directory, stop.on_signals():
        done = ansible_runner.run(
            private_data_dir=str(directory),
            project_dir=str(Path.cwd()),
            binary=sys.executable,
            cmdline=shlex.join(_arguments(call)),
            inventory=[str(source) for source in call.inventories],
            extravars=dict(call.extra_vars) or None,
            limit=call.limit,
            verbosity=call.verbosity or None,
            envvars=environment(project, call.strategy),
            settings={"pexpect_timeout": 1},
            suppress_env_files=True,
            suppress_output_file=True,
            fact_cache_type="memory",
            quiet=True,
            event_handler=handle,
            cancel_callback=stop.overdue,
        )
    return Finished(code=int(done.rc if done.rc is not None else 1), interrupted=stop.asked)


def _arguments(call: Invocation) -> list[str]:
    # The module instead of the script: it is there wherever this package is, and -P keeps the working directory out.
    arguments = ["-P", "-m", "ansible", "playbook", str(call.playbook), "--diff"]
    return [*arguments, "--check"] if call.check else arguments


def environment(project: Path, strategy: Strategy) -> dict[str, str]:
    """What Ansible finds in its environment, over what the operator has there."""
    chosen = {
        "ANSIBLE_CONFIG": str(project / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(project / "plugins" / "callback"),  # ansible-runner adds its own to these
        "ANSIBLE_HOST_KEY_CHECKING": "True",  # ansible-runner would switch it off
        "ANSIBLE_NOCOLOR": "True",
        "ANSIBLE_DISPLAY_OK_HOSTS": "False",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "False",
        "ANSIBLE_STRATEGY": "linear",
        "PYTHONUNBUFFERED": "1",
    }
    if strategy == "mitogen" and find_spec("ansible_mitogen"):
        plugins = project / "plugins" / "strategy"
        chosen |= {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(plugins)}
    return chosen


@contextmanager
def _private_directory() -> Iterator[Path]:
    parent = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="provision-", dir=parent, ignore_cleanup_errors=True) as name:
        yield Path(name)


class _Stop:
    """Ctrl-C, SIGTERM, a lost terminal: the first ends Ansible as if pressed there, the second or time kills it."""

    def __init__(self) -> None:
        self.asked = False
        self._again = False
        self._pid: int | None = None
        self._deadline = float("inf")

    def watch(self, pid: object) -> None:
        """Remember Ansible's own process, which its events name."""
        if self._pid is None and isinstance(pid, int) and pid != os.getpid():
            self._pid = pid
            if self.asked:
                self._interrupt()

    def unheeded(self) -> None:
        """Something new has begun. A second after Ansible was told to end, that means the signal got lost in it."""
        if self.asked and time.monotonic() > self._deadline - _GRACE + 1:
            self._interrupt()

    def overdue(self) -> bool:
        """Whether ansible-runner should kill what is left."""
        return self._again or time.monotonic() > self._deadline

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # What is ignored stays so: nohup is meant to outlive the terminal.
        heeded = [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._handle) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._again = self.asked
        if not self.asked:
            self.asked = True
            self._deadline = time.monotonic() + _GRACE
            self._interrupt()

    def _interrupt(self) -> None:
        if self._pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, signal.SIGINT)
