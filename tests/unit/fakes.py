"""Playbooks that are not run: the workflows' own logic is tested with the events of recorded runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provision import inventory, runner, workflows
from provision.events import AnyEvent
from tests.unit.recorded import events_of

GOOD, BAD, BROKEN_OFF = (
    runner.Finished(0, interrupted=False),
    runner.Finished(2, interrupted=False),
    runner.Finished(99, interrupted=True),
)


@dataclass
class FakeRunner:
    """Plays back recorded runs: for check mode, and for the run itself."""

    plan: tuple[str, runner.Finished] = ("plan", GOOD)
    work: tuple[str, runner.Finished] = ("plan", GOOD)
    calls: list[runner.Invocation] = field(default_factory=list)

    def run(self, call: runner.Invocation, on_event: Callable[[AnyEvent], None]) -> runner.Finished:
        self.calls.append(call)
        name, finished = self.plan if call.check else self.work
        for event in events_of(name) if name else []:
            on_event(event)
        return finished

    @property
    def modes(self) -> list[str]:
        """What was run, in its order."""
        return ["check" if call.check else "run" for call in self.calls]


def install(monkeypatch: pytest.MonkeyPatch, state: Path) -> FakeRunner:
    """Put a fake in the place of Ansible; sites are read, not checked; what is remembered goes to `state`."""
    fake = FakeRunner()
    monkeypatch.setenv("PROVISION_STATE_DIR", str(state))
    monkeypatch.setattr(runner, "run", fake.run)
    monkeypatch.setattr(workflows, "validated", inventory.load)
    return fake
