"""One drill from its first question to its report: look, set the stage, injure, measure, heal, verify."""

from __future__ import annotations

import http.client
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provision import render, state
from provision.drills import access, catalog, safety
from provision.drills.catalog import Drill, Until
from provision.drills.plays import Plays
from provision.drills.power import Fault, fault_of, in_containers
from provision.drills.probe import Answer, Series
from provision.drills.report import Measure, Moment, Report, judge
from provision.errors import PreflightRefused, ProvisionError

if TYPE_CHECKING:
    from provision.inventory import Host, Site

_QUIET = 2.0
"""Seconds that everything is measured before the fault: what fails then is not the fault's doing."""
_STEADY = 3.0
"""Seconds of good answers after which something counts as back."""
_HEALTHY_AGAIN = 240.0
"""Seconds that a healed cluster gets until its status is healthy."""


@dataclass
class _Log:
    """What happened, on the machine's monotonic clock; `zero` is the moment of the fault."""

    zero: float = 0.0
    healing: float = float("inf")
    entries: list[tuple[float, str]] = field(default_factory=list)

    def add(self, what: str, at: float | None = None) -> None:
        at = time.monotonic() if at is None else at
        self.entries.append((at, what))
        render.info(f"  {what}")

    def moments(self) -> tuple[Moment, ...]:
        return tuple(Moment(round(at - self.zero, 2), what) for at, what in sorted(self.entries))


@dataclass(frozen=True)
class Prepared:
    """A drill that may be done: to which host, of a cluster in which state."""

    site: Site
    drill: Drill
    host: Host
    """The first that is injured: nothing is measured through it."""
    hosts: tuple[Host, ...]
    """All that are."""
    status: Mapping[str, Any]
    plays: Plays

    @property
    def blast(self) -> str:
        """What it does to the cluster, in one sentence."""
        if self.drill.until is Until.RESTORED:
            return (
                f"{self.names}: {self.drill.help} The API is away for minutes, and what is written after the backup,"
                " which is made just before, is lost."
            )
        how = "loses its power" if self.drill.powers_off else "is injured"
        return f"{self.names} {how} {self.drill.until}, at most {self.drill.most:.0f} s. {self.drill.help}"

    @property
    def names(self) -> str:
        """The hosts that are injured."""
        return ", ".join(host.name for host in self.hosts)


def prepare(site: Site, drill: Drill, plays: Plays, asked: str = "") -> Prepared:
    """Look at the cluster and choose the host. Raises ProvisionError when the drill must not be done."""
    if reason := safety.impossible(site, drill, containers=in_containers(site)):
        raise PreflightRefused(f"{drill.name} cannot be done here: {reason}", hint="see: provision drill list -i SITE")
    status = plays.status()
    host = safety.choose(site, drill, status, asked)
    safety.require_safe(drill, status, host)
    return Prepared(site, drill, host, safety.injured(site, drill, host), status, plays)


def conduct(prepared: Prepared) -> Report:
    """Do the drill. Whatever happens, the fault is healed and the stage taken down before this ends."""
    started, log = state.now(), _Log(time.monotonic())
    with _stage(prepared, log) as stage:
        fault = fault_of(prepared.site, prepared.drill, prepared.hosts, prepared.plays)
        if done := fault.prepare():
            log.add(done)
        rescheduled = _measure(prepared, stage, fault, log)
        log.add("healed; waiting until the cluster is healthy")
        problems = _until_healthy(prepared)
        log.add("the status is healthy" if not problems else "the status is not healthy")
    measures = tuple(Measure.of(name, series.answers, log.zero, log.healing) for name, series in stage.series.items())
    changes = None
    if not problems:
        plan = prepared.plays.plan()
        changes = None if plan.error else len(plan.result.changes)
    return Report(
        drill=prepared.drill.name,
        what=prepared.drill.help,
        site=str(prepared.site.path),
        cluster=str(prepared.site.setting("cluster_name")),
        target=prepared.names,
        started=started,
        moments=log.moments(),
        measures=measures,
        goals=judge(prepared.drill.limits, measures),
        rescheduled=rescheduled,
        healthy=not problems,
        changes=changes,
        problems=tuple(problems),
    )


@dataclass(frozen=True)
class _Stage:
    """What is measured with."""

    api: access.Api
    series: Mapping[str, Series]
    pods: int
    """How many pods are behind the Service."""


@contextmanager
def _stage(prepared: Prepared, log: _Log) -> Iterator[_Stage]:
    name = f"provision-drill-{secrets.token_hex(3)}"
    identity = access.new_identity(name)
    node = prepared.host.node_name
    away = {"node": node} if prepared.drill.until is Until.RESCHEDULED else {"spare": node}
    log.add("setting up what is measured with")
    try:
        told = prepared.plays.drill("stage", run_stage={"namespace": name, "request": identity.request, **away}).answer
        context = access.tls_context(identity, told["certificate"], told["authority"])
        api = access.Api(*_endpoint(prepared), context, name)
        door = access.Door(_door(prepared), int(told["port"]))
        series = {
            catalog.API_READ: Series(api.read),
            catalog.API_WRITE: Series(api.write),
            catalog.SERVICE: Series(door.answers),
        }
        yield _Stage(api, series, len(told["pods"]))
    finally:
        _clear(prepared)


def _clear(prepared: Prepared) -> None:
    """Take the stage down; what a cluster too ill for that keeps, the next drill removes."""
    try:
        prepared.plays.drill("clear")
    except ProvisionError as error:
        render.warn(f"what was measured with is still there: {error.message}")


def _endpoint(prepared: Prepared) -> tuple[str, int]:
    """Where the operator's machine asks the API: as users do, or, with local balancers, a control plane not injured."""
    site = prepared.site
    if site.api_mode == "local":
        return next(host.address for host in site.control_planes if host != prepared.host), 6443
    address = site.setting("cluster_vip") or site.setting("cluster_api_address")
    return str(address), int(str(site.setting("cluster_api_port")))


def _door(prepared: Prepared) -> str:
    """A node that is not injured, workers first."""
    left = [host for host in prepared.site.nodes if host != prepared.host]
    workers = [host for host in left if host not in prepared.site.control_planes]
    return (workers or left)[0].address


def _measure(prepared: Prepared, stage: _Stage, fault: Fault, log: _Log) -> float | None:
    """Measure before, during and after the fault; returns the seconds until the host's pods ran elsewhere."""
    drill = prepared.drill
    with ExitStack() as measuring:
        for series in stage.series.values():
            measuring.enter_context(series)
        if not _wait(lambda: all(series.steady(_QUIET) for series in stage.series.values()), 30.0, least=_QUIET):
            silent = [name for name, series in stage.series.items() if not series.steady(_QUIET)]
            raise PreflightRefused(f"from this machine, {', '.join(silent)} does not answer before the drill")
        try:
            began = fault.inject()
            log.zero = time.monotonic() - (time.time() - began)
            log.add(f"{prepared.names}: {_words(drill)}", log.zero)
            rescheduled = _hold(prepared, stage, fault, log)
        finally:
            log.healing = time.monotonic()
            log.add("healing", log.healing)
            fault.heal()
        _wait(lambda: all(series.steady(_STEADY) for series in stage.series.values()), 60.0, least=_STEADY)
    return rescheduled


def _hold(prepared: Prepared, stage: _Stage, fault: Fault, log: _Log) -> float | None:
    """Keep the fault until it has shown what it shows."""
    drill, left = prepared.drill, prepared.drill.most - 10
    api = [stage.series[catalog.API_READ], stage.series[catalog.API_WRITE]]
    if drill.until is Until.RESTORED:
        # The fault ends itself when its time is over: nobody may wait for it that long.
        if _wait(lambda: not any(answer.ok for answer in _last(api, _STEADY)), left, least=drill.least):
            log.add(f"the API has not answered for {_STEADY:.0f} s; restoring the backup")
        fault.repair()
        log.add("the backup is restored")
    if drill.until in (Until.API_BACK, Until.RESTORED):
        if _wait(lambda: all(series.steady(_STEADY) for series in api), left, least=drill.least):
            log.add(f"the API has answered for {_STEADY:.0f} s")
        return None

    def elsewhere() -> bool:
        try:
            return access.ready_elsewhere(stage.api.pods(), prepared.host.node_name) >= stage.pods
        except (OSError, ValueError, http.client.HTTPException):
            return False

    if not _wait(elsewhere, left, every=0.25):
        log.add("the pods did not come back elsewhere")
        return None
    took = round(time.monotonic() - log.zero, 1)
    log.add("the pods run elsewhere")
    return took


def _last(series: Iterable[Series], seconds: float) -> list[Answer]:
    """What was asked in the last seconds."""
    since = time.monotonic() - seconds
    return [answer for each in series for answer in each.answers if answer.at >= since]


def _words(drill: Drill) -> str:
    unit = drill.fault.get("unit", "")
    return {
        "power": "power off",
        "process": f"{unit} killed",
        "service": f"{unit} killed and kept down",
        "handover": f"{unit} stopped in order",
        "network": "cut from the network",
        "data": "etcd killed, its data gone",
        "disk": "disk filled",
        "clock": "clock set ahead",
    }[str(drill.fault["kind"])]


def _until_healthy(prepared: Prepared) -> list[str]:
    """Wait until the status is healthy; returns what is still wrong when the time is over."""
    deadline = time.monotonic() + _HEALTHY_AGAIN
    while True:
        try:
            status = prepared.plays.status()
            problems = [str(each.get("message", "")) for each in status.get("problems") or ()]
        except ProvisionError as error:
            problems = [error.message]
        if not problems or time.monotonic() > deadline:
            return problems
        time.sleep(1)


def _wait(check: Callable[[], bool], seconds: float, *, least: float = 0.0, every: float = 0.05) -> bool:
    """Wait until `check` holds, `least` seconds at the least; False when it does not after `seconds`."""
    start = time.monotonic()
    while True:
        passed = time.monotonic() - start
        if passed >= least and check():
            return True
        if passed > seconds:
            return False
        time.sleep(every)
