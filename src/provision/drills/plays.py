"""The playbooks that a drill runs, and what their modules answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provision import absence, outcome, paths, runner
from provision.events import AnyEvent, HostChanged, HostOk, HostStarted
from provision.results import Reducer, RunResult

if TYPE_CHECKING:
    from provision.errors import ProvisionError
    from provision.inventory import Site


@dataclass(frozen=True)
class Played:
    """How a playbook ended."""

    result: RunResult
    error: ProvisionError | None
    answer: Mapping[str, Any] = field(default_factory=dict)
    """What the module `drill_stage` told."""
    began: float = 0.0
    """When the last task began on its host, in seconds since the epoch: a fault is injected by the last task."""


@dataclass(frozen=True)
class Plays:
    """Runs playbooks on a site for one command, which is named in the way on after a failure."""

    site: Site
    command: str
    strategy: runner.Strategy = "mitogen"

    def status(self, without: tuple[str, ...] = ()) -> Mapping[str, Any]:
        """The cluster's health as `provision status` shows it. Raises ProvisionError when it cannot be read."""
        played = self.run("status", without=without)
        if played.result.status is None:
            raise played.error or RuntimeError("the status playbook told nothing")
        return played.result.status

    def plan(self) -> Played:
        """What `provision cluster` would change now."""
        return self.run("cluster", check=True)

    def drill(self, phase: str, **inputs: Any) -> Played:
        """One part of playbooks/drill.yml. Raises ProvisionError when it fails."""
        played = self.run("drill", inputs={"run_phase": phase, **inputs})
        if played.error is not None:
            words = "; ".join(failure.words for failure in played.result.failures)
            played.error.message = f"{played.error.message}: {words}" if words else played.error.message
            raise played.error
        return played

    def run(
        self,
        stem: str,
        *,
        check: bool = False,
        inputs: Mapping[str, Any] | None = None,
        without: tuple[str, ...] = (),
    ) -> Played:
        """Run `playbooks/<stem>.yml` to its end; a failure is in what is returned."""
        reducer = Reducer([host.name for host in self.site.hosts], check=check)
        answers: dict[str, Any] = {}
        began = [time.time()]

        def add(event: AnyEvent) -> None:
            reducer.add(event)
            if isinstance(event, HostStarted):
                began.append(event.at)
            elif isinstance(event, HostOk | HostChanged):
                answers.update(event.result.get("provision_drill") or {})

        call = runner.Invocation(
            playbook=paths.playbook(stem),
            inventories=self.site.sources,
            check=check,
            limit=absence.limit(without),
            extra_vars=inputs or {},
            strategy=self.strategy,
        )
        finished = runner.run(call, add)
        reducer.close(time.time())
        result = reducer.result()
        error = outcome.error_of(result, finished, command=self.command, site=self.site.path)
        return Played(result, error, answers, began[-1])
