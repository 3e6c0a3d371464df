"""A rehearsal from the copy of the site to the figures: nodes, cluster, the workflow, and what happened."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision import render, sandbox, state
from provision.errors import PreflightRefused, ProvisionError, VerifyFailed
from provision.rehearsal import copy, network
from provision.sandbox import checks
from provision.sandbox.engine import choose_engine

if TYPE_CHECKING:
    from provision.inventory import Host, Site


@dataclass(frozen=True)
class Wanted:
    """What the operator asked for."""

    site: Site
    command: tuple[str, ...] = ("cluster",)
    """The words of the workflow and its arguments, without the inventory and the agreement."""
    agreement: tuple[str, ...] = ("--yes",)
    """How that workflow is agreed to; empty for one that only reads."""
    newcomers: tuple[str, ...] = ()
    """Hosts that join only with the workflow."""
    workers: int | None = None
    """How many workers take part; None for all."""
    network: str = ""
    keep: bool = False


@dataclass(frozen=True)
class Step:
    """One command of the rehearsal."""

    command: str
    code: int
    seconds: float
    phases: tuple[Mapping[str, Any], ...] = ()
    """Name and seconds of each phase, as its record tells."""
    changes: int = 0
    error: str = ""


@dataclass(frozen=True)
class Rehearsal:
    """What happened."""

    site: Path
    copy: Path
    network: str
    addresses: Mapping[str, tuple[str, str]]
    """By host: its own address, and the one that it had here."""
    left_out: tuple[str, ...]
    kept: bool
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def error(self) -> ProvisionError | None:
        """Why it did not go well."""
        failed = next((step for step in self.steps if step.code), None)
        if failed is None:
            return None
        hint = "" if self.kept else "; with --keep the nodes stay for a look"
        return VerifyFailed(
            f"`provision {failed.command}` ended with {failed.code}: {failed.error or 'see above'}",
            hint=f"the same would happen on the machines: put it right in {self.site}, and rehearse again{hint}",
        )

    def as_dict(self) -> dict[str, Any]:
        """The rehearsal as the one JSON document of the command."""
        return {**asdict(self), "error": self.error.as_dict() if self.error else None}


def rehearse(wanted: Wanted) -> Rehearsal:
    """Make the nodes, the cluster on them, and run the workflow. Raises ProvisionError when it cannot begin."""
    site = wanted.site
    copy.require_readable(site)
    hosts = copy.choose(site, wanted.workers)
    there = sandbox.load(copy.path_for(site.path)) if copy.path_for(site.path).exists() else None
    _require_room(hosts, site, known=len(there.nodes) if there else 0)
    subnet = network.parsed(there.network.subnet) if there else network.free_subnet(site, wanted.network)
    moved = network.move(site, hosts, subnet)
    first = [host.name for host in hosts if host.name not in wanted.newcomers]
    file = copy.write(site, moved, first)
    left_out = tuple(host.name for host in site.hosts if host not in hosts)
    play = Rehearsal(
        site=site.path,
        copy=file,
        network=str(subnet),
        addresses={host.name: (host.address or host.name, moved.hosts[host.name]) for host in hosts},
        left_out=left_out,
        kept=wanted.keep,
        notes=tuple(_notes(site, left_out)),
    )
    for note in (f"{len(hosts)} hosts on sandbox nodes in {subnet}: {file}", *play.notes):
        render.info(note)
    try:
        return _played(wanted, play, lambda: copy.write(site, moved, [host.name for host in hosts]))
    finally:
        if not wanted.keep:
            sandbox.down(file)


def _played(wanted: Wanted, play: Rehearsal, complete: Any) -> Rehearsal:
    steps = [_nodes(play.copy), _run(play.copy, ("cluster",), ("--yes",))]
    if wanted.newcomers and not steps[-1].code:
        complete()
        steps.append(_nodes(play.copy))
    if wanted.command != ("cluster",) and not steps[-1].code:
        steps.append(_run(play.copy, wanted.command, wanted.agreement))
    return Rehearsal(**{**play.__dict__, "steps": tuple(steps)})


def _nodes(file: Path) -> Step:
    began = time.monotonic()
    made = sandbox.up(file)
    return Step(f"sandbox up ({len(made.nodes)} nodes)", 0, round(time.monotonic() - began, 1))


def _run(file: Path, words: Sequence[str], agreement: Sequence[str]) -> Step:
    """Run a command on the copy as an operator would; its record tells the phases."""
    output = ("--output", "json") if render.is_json() else ()
    argv = [sys.executable, "-m", "provision", *words, "-i", str(file), *agreement, *output]
    render.info(f"\nprovision {' '.join(words)}")
    began = time.monotonic()
    done = subprocess.run(argv, stdout=subprocess.PIPE if output else None, text=True, check=False)
    seconds = round(time.monotonic() - began, 1)
    if done.returncode == 130:
        raise KeyboardInterrupt
    error = _error_in(done.stdout) if output else ""
    newest = next(iter(state.History.of(file).records()), None)
    told = newest.result if newest is not None and newest.workflow == _workflow(words, newest.workflow) else {}
    return Step(
        command=" ".join(words),
        code=done.returncode,
        seconds=seconds,
        phases=tuple(told.get("phases") or ()),
        changes=len(told.get("changes") or ()),
        error=error or (newest.error if newest is not None and done.returncode else ""),
    )


def _workflow(words: Sequence[str], recorded: str) -> str:
    """The recorded name when these words begin with it; else the words, which no record has."""
    return recorded if " ".join(words).startswith(recorded) else " ".join(words)


def _error_in(document: str) -> str:
    try:
        told = json.loads(document).get("error") or {}
    except (ValueError, AttributeError):
        return ""
    return str(told.get("message", ""))


def _notes(site: Site, left_out: Sequence[str]) -> list[str]:
    """What is not as on the machines."""
    notes = [f"left out: {', '.join(left_out)}"] if left_out else []
    if site.api_mode == "external":
        notes.append("the external balancer is not here: every node runs a balancer of its own")
    provider = site.setting("cluster_network_provider")
    if provider != "routed" and not choose_engine().traits.own_kernel:
        notes.append(f"nodes in containers use the network provider routed in place of {provider}")
    return notes


def _require_room(hosts: Sequence[Host], site: Site, *, known: int) -> None:
    """Refuse when the nodes do not fit on this machine, with the way to a smaller rehearsal."""
    try:
        checks.check_room(max(0, len(hosts) - known), choose_engine().traits)
    except PreflightRefused as error:
        again = f"take all control planes and some workers: provision rehearse -i {site.path} --workers 1"
        raise PreflightRefused(error.message, hint=again) from error
