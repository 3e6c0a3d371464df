"""The workflows, and the pipeline that each of them goes through.

validate → lock → plan → confirm → run → verify → record. The last play of a changing playbook verifies the cluster,
so verifying is part of its run; what differs between workflows is in the table and in `lifecycle/<stem>.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from provision import absence, live, outcome, paths, playbooks, render, runner, state
from provision.errors import Interrupted, InvalidInput, NotConfirmed, PlanHasChanges, ProvisionError, UsageError
from provision.lifecycle import backup, certificates_renew, node_add, node_remove, reset, restore, upgrade
from provision.results import Reducer, RunResult

if TYPE_CHECKING:
    from provision.events import AnyEvent
    from provision.inventory import Site


class Effect(StrEnum):
    """What a workflow does to the machines; it decides on the lock, the record and how to ask."""

    READS = "reads"
    CHANGES = "changes"
    DESTROYS = "destroys"


class Lifecycle(Protocol):
    """What a workflow says for itself before a machine is touched: a module `lifecycle/<stem>.py`."""

    def check(self, site: Site, request: Request) -> None:
        """Refuse what the site alone shows to be wrong (a ProvisionError with the next step)."""

    def blast(self, site: Site, request: Request) -> Sequence[str]:
        """The blast radius, a sentence a line: which nodes, which restarts, whether the API is interrupted."""


@dataclass(frozen=True)
class Workflow:
    """A command that runs a playbook."""

    name: str
    """As typed: `cluster`."""
    help: str
    effect: Effect
    lifecycle: Lifecycle | None = None
    missing_host: str = ""
    """What helps when `{name}` is no host of the site; empty for the nearest name."""

    @property
    def playbook(self) -> Path:
        """Its playbook, which has the command's name."""
        return paths.playbook(self.name.replace(" ", "_"))


WORKFLOWS: Mapping[str, Workflow] = {
    workflow.name: workflow
    for workflow in (
        Workflow("cluster", "Make the machines of the site one highly available cluster.", Effect.CHANGES),
        Workflow("backup", "Make an encrypted backup of the cluster.", Effect.CHANGES, backup),
        Workflow("restore", "Rebuild the cluster from a backup.", Effect.DESTROYS, restore),
        Workflow("reset", "Remove the cluster from the machines.", Effect.DESTROYS, reset),
        Workflow("certificates", "Show how long every certificate lasts; changes nothing.", Effect.READS),
        Workflow(
            "certificates renew", "Renew the certificates of a running cluster.", Effect.CHANGES, certificates_renew
        ),
        Workflow(
            "node add",
            "Take hosts of the inventory into the cluster.",
            Effect.CHANGES,
            node_add,
            missing_host="write it into the inventory first; a worker under [kube_node]: {name} ansible_host=ADDRESS",
        ),
        Workflow("node remove", "Take hosts out of the cluster, dead ones too.", Effect.CHANGES, node_remove),
        Workflow("drill", "Break something on purpose and measure what users notice.", Effect.DESTROYS),
        Workflow("upgrade", "Bring the cluster to another version, one machine at a time.", Effect.CHANGES, upgrade),
        Workflow("preflight", "Check that the machines are fit; changes nothing.", Effect.READS),
        Workflow("status", "Show the health of the cluster; changes nothing.", Effect.READS),
    )
}


@dataclass(frozen=True)
class Request:
    """What the operator asked for."""

    workflow: Workflow
    inventory: Path
    plan_only: bool = False
    yes: bool = False
    exit_code: bool = False
    """With `plan_only`: end with 10 when there is something to do."""
    strategy: runner.Strategy = "mitogen"
    hosts: tuple[str, ...] = ()
    """The inventory names that the workflow is about; for Ansible `run_hosts`, joined by commas."""
    without: tuple[str, ...] = ()
    """Dead hosts that are passed over; for Ansible `run_without`."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """What else the playbook is told: `run_*` variables, and `settings`. They are recorded: never a secret."""
    resume: bool = False
    """Go on with the newest run of this workflow that did not end well, with its hosts and inputs."""
    approved: str | None = None
    """The cluster's name, given beforehand: what a workflow that destroys wants in place of `yes`."""

    @property
    def agreed(self) -> bool:
        """Whether the operator agreed before being asked; to destroy takes the cluster's name."""
        return self.approved is not None if self.workflow.effect is Effect.DESTROYS else self.yes

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the cluster that this run takes in the place of the site's."""
        return {name: value for name, value in self.inputs.items() if name.startswith("cluster_")}

    @property
    def extra_vars(self) -> dict[str, Any]:
        """The variables of this run."""
        names = {"run_hosts": ",".join(self.hosts), "run_without": ",".join(self.without)}
        return {**{key: value for key, value in names.items() if value}, **self.inputs}


@dataclass(frozen=True)
class Outcome:
    """How a request ended."""

    request: Request
    site: Site
    result: RunResult
    seconds: float
    error: ProvisionError | None = None
    run: int | None = None
    """The number of its record; None for workflows that only read."""

    def as_dict(self) -> dict[str, Any]:
        """The outcome as the one JSON document of the command."""
        return {
            "workflow": self.request.workflow.name,
            "site": str(self.site.path),
            "sandbox": str(self.site.overlay) if self.site.overlay else None,
            "mode": "plan" if self.result.check else "run",
            "run": self.run,
            "seconds": round(self.seconds, 1),
            "aliases": [{"name": use.name, "own": use.own, "value": use.value} for use in self.site.aliases],
            **self.result.as_dict(),
            "error": self.error.as_dict() if self.error else None,
        }


ShowPlan = Callable[["Site", RunResult], None]


def execute(request: Request, show_plan: ShowPlan) -> Outcome:
    """Take a request through the pipeline. `show_plan` is called before the operator is asked.

    Raises ProvisionError for what stops it before a machine is touched; what happens after is in the outcome.
    """
    started = time.monotonic()
    request = _resumed(request) if request.resume else request
    site = validated(request.inventory, request.settings) if request.settings else validated(request.inventory)
    if request.workflow.name in ("cluster", "preflight"):
        from provision import validate

        validate.require_odd_etcd(site)
    _announce(site, request.workflow)
    _require_known_hosts(site, request)
    absence.check(site, request)
    if request.workflow.lifecycle:
        request.workflow.lifecycle.check(site, request)
    _require_material(site, request.workflow)
    if request.workflow.effect is Effect.READS:
        result, error = _play(request, site, check=False)
        return Outcome(request, site, result, time.monotonic() - started, error)
    _require_consent(request, site)
    for line in request.workflow.lifecycle.blast(site, request) if request.workflow.lifecycle else ():
        render.info(line)
    with _recorded(request, site, started) as book:
        result, error = _planned(request, site, show_plan)
        done = Outcome(request, site, result, time.monotonic() - started, error, book.number)
        book.end(done)
    return done


def validated(inventory: Path, settings: Mapping[str, Any] | None = None) -> Site:
    """The site, checked offline, with the overlay of its sandbox when one is up. Raises InvalidInput.

    `settings` are taken in the place of the site's own.
    """
    from provision import sandbox, validate

    return validate.validate(inventory, sandbox.overlay_for(inventory), settings)


def _resumed(request: Request) -> Request:
    """The request with what the run that did not end well was asked for. Raises UsageError when there is none."""
    from provision.inventory import site_file

    name = request.workflow.name
    for record in state.History.of(site_file(request.inventory)).newest_first():
        if record.workflow != name or record.mode != "run":
            continue
        if record.state in (state.DONE, state.DECLINED):
            break
        render.info(f"going on with run {record.number}, {record.state} after {record.seconds:.0f} s")
        told = record.options
        return replace(
            request,
            hosts=request.hosts or tuple(told.get("hosts") or ()),
            without=request.without or tuple(told.get("without") or ()),
            inputs={**(told.get("inputs") or {}), **request.inputs},
        )
    raise UsageError(
        f"there is nothing to resume: no run of `{name}` was broken off since the last one that ended well",
        hint=f"see what was done with: provision runs list -i {outcome.shown(request.inventory)}",
    )


def _require_known_hosts(site: Site, request: Request) -> None:
    """Refuse names that are no hosts of the site."""
    for name in (*request.hosts, *request.without):
        try:
            site.host(name)
        except InvalidInput as unknown:
            hint = request.workflow.missing_host.format(name=name) or unknown.hint
            raise InvalidInput(unknown.message, hint=hint, location=unknown.location) from None


def _require_consent(request: Request, site: Site) -> None:
    """Refuse when nobody can be asked and nobody has agreed beforehand, or to another cluster than this one."""
    if request.plan_only:
        return
    again = f"provision {_spelt(request)} -i {outcome.shown(request.inventory)}"
    name = str(site.setting("cluster_name"))
    if request.approved is not None and request.approved != name:
        raise NotConfirmed(f"this cluster is called {name}, not {request.approved}; nothing was changed")
    if not (request.agreed or render.interactive()):
        word = f"--yes {name}" if request.workflow.effect is Effect.DESTROYS else "--yes"
        raise NotConfirmed(
            "nobody is there to be asked before the machines are changed",
            hint=f"say so with: {again} {word}, or look first with: {again} --plan",
        )


def _announce(site: Site, workflow: Workflow) -> None:
    """Say what one would not expect: other machines than the inventory's own, and doubtful settings."""
    from provision import validate

    if site.overlay:
        render.info(outcome.on_sandbox(site.path))
    elif state.History.of(site.path).last_was_on_sandbox():
        again = f"provision sandbox up -i {outcome.shown(site.path)}"
        render.warn(f"{site.path.name}: its sandbox is down, so its own machines are meant ({again} makes new nodes)")
    if workflow.effect is not Effect.READS:
        for notice in (*site.warnings, *validate.notices(site)):
            render.warn(notice)


def _require_material(site: Site, workflow: Workflow) -> None:
    """Refuse a bundle with a damaged file before a machine is touched (PreflightRefused); `status` needs no bundle."""
    bundle = str(site.setting("cluster_bundle") or "")
    if bundle and (workflow.effect is Effect.CHANGES or workflow.name == "preflight"):
        from provision.bundle import verify

        verify.require(Path(bundle).expanduser(), paths.state_home() / "valid-bundle-files.json")


def _planned(request: Request, site: Site, show_plan: ShowPlan) -> tuple[RunResult, ProvisionError | None]:
    """Plan where that was asked for or where a person decides on it, then run."""
    if request.plan_only or not request.agreed:
        plan, error = _play(request, site, check=True)
        if error is not None:
            return plan, error
        show_plan(site, plan)
        if request.plan_only:
            due = request.exit_code and bool(plan.changes)
            return plan, PlanHasChanges("there is something to do") if due else None
        if not plan.changes:
            return plan, None
        if not _confirmed(request, site):
            return plan, NotConfirmed("not confirmed; nothing was changed")
    return _play(request, site, check=False)


def _confirmed(request: Request, site: Site) -> bool:
    name = str(site.setting("cluster_name"))
    if request.workflow.effect is Effect.DESTROYS:
        return render.confirm(f"This destroys the cluster {name}.", expected=name)
    return render.confirm(f"Change these machines of {name}?")


def _play(request: Request, site: Site, *, check: bool) -> tuple[RunResult, ProvisionError | None]:
    playbook = request.workflow.playbook
    call = runner.Invocation(
        playbook=playbook,
        inventories=site.sources,
        check=check,
        limit=absence.limit(request.without),
        extra_vars={**request.extra_vars, **_agreement(request, site)},
        strategy=request.strategy,
        verbosity=max(0, render.verbosity() - 1),
    )
    reducer = Reducer([host.name for host in site.hosts], check=check)
    reading = check or request.workflow.effect is Effect.READS
    with live.watch(playbooks.phases_of(playbook), keep=not reading) as view:

        def add(event: AnyEvent) -> None:
            reducer.add(event)
            view.add(event)

        finished = runner.run(call, add)
    reducer.close(time.time())
    result = reducer.result()
    return result, outcome.error_of(result, finished, command=_spelt(request), site=request.inventory)


def _agreement(request: Request, site: Site) -> dict[str, str]:
    """For a workflow that destroys: the name that was agreed to, without which its playbook does nothing."""
    return {"run_cluster": str(site.setting("cluster_name"))} if request.workflow.effect is Effect.DESTROYS else {}


def _spelt(request: Request) -> str:
    """The command's words up to its options, as the operator would type them again."""
    version = request.inputs.get("cluster_version")
    options = (*(("--to", str(version)) if version else ()), *(("--plan",) if request.plan_only else ()))
    return " ".join((request.workflow.name, *request.hosts, *options))


class _Book:
    """The open record of a run."""

    def __init__(self, history: state.History, record: state.Record, started: float) -> None:
        self._history, self._record, self._started = history, record, started
        self.number = record.number

    def end(self, done: Outcome) -> None:
        """Write how the run ended."""
        self._write(done.error, result=done.result.as_dict(), mode="plan" if done.result.check else "run")

    def fail(self, error: ProvisionError) -> None:
        """Write that the run was broken off before it had a result."""
        self._write(error)

    def _write(self, error: ProvisionError | None, **more: Any) -> None:
        self._record = replace(
            self._record,
            state=_state_of(error),
            exit_code=error.exit_code if error else 0,
            error=error.message if error else "",
            ended=state.now(),
            seconds=round(time.monotonic() - self._started, 1),
            **more,
        )
        self._history.save(self._record)


def _state_of(error: ProvisionError | None) -> str:
    match error:
        case None | PlanHasChanges():
            return state.DONE
        case Interrupted():
            return state.INTERRUPTED
        case NotConfirmed():
            return state.DECLINED
    return state.FAILED


@contextmanager
def _recorded(request: Request, site: Site, started: float) -> Iterator[_Book]:
    """Hold the site's lock and keep a record, which is ended whatever happens."""
    with state.lock(site.path, request.workflow.name):
        history = state.History.of(site.path)
        options = {
            "strategy": request.strategy,
            "sandbox": site.overlay is not None,
            "yes": request.agreed,
            "hosts": list(request.hosts),
            "without": list(request.without),
            "inputs": dict(request.inputs),
        }
        record = history.begin(request.workflow.name, site.path, "plan" if request.plan_only else "run", options)
        book = _Book(history, record, started)
        try:
            yield book
        except KeyboardInterrupt:
            book.fail(Interrupted("interrupted"))
            raise
        except ProvisionError as error:
            book.fail(error)
            raise
        except Exception as error:
            book.fail(ProvisionError(f"{type(error).__name__}: {error}"))
            raise
