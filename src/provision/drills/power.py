"""How a fault comes to a host and goes again: through the sandbox's engine, or through the module on the node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from provision import sandbox
from provision.sandbox.engine import choose_engine

if TYPE_CHECKING:
    from provision.drills.catalog import Drill
    from provision.drills.plays import Plays
    from provision.inventory import Host, Site


class Fault(Protocol):
    """One fault on one host."""

    def inject(self) -> float:
        """Injure the host; returns when that began, in seconds since the epoch."""

    def heal(self) -> None:
        """End the fault; a second time does nothing."""


def fault_of(site: Site, drill: Drill, host: Host, plays: Plays) -> Fault:
    """The way to this fault on this site."""
    if drill.powers_off and site.overlay:
        return _SandboxPower(site, host)
    return _OnNode(drill, host, plays)


def in_containers(site: Site) -> bool:
    """Whether the site's hosts are containers of a sandbox, which share this machine's kernel."""
    found = sandbox.load(site.path) if site.overlay else None
    return found is not None and not choose_engine(found.engine).traits.own_kernel


class _SandboxPower:
    """The plug of a sandbox node."""

    def __init__(self, site: Site, host: Host) -> None:
        self._site, self._host, self._off = site.path, host.name, False

    def inject(self) -> float:
        began, self._off = time.time(), True
        sandbox.kill_node(self._site, self._host)
        return began

    def heal(self) -> None:
        if self._off:
            sandbox.up(self._site, with_bundle=False)
            self._off = False


class _OnNode:
    """A fault that the module `fault` makes on the node, with a timer there that ends it in any case."""

    def __init__(self, drill: Drill, host: Host, plays: Plays) -> None:
        self._drill, self._host, self._plays, self._there = drill, host, plays, False

    def inject(self) -> float:
        fault = {**self._drill.fault, "seconds": round(self._drill.most)}
        self._there = True
        return self._plays.drill("inject", run_hosts=self._host.name, run_fault=fault).began

    def heal(self) -> None:
        # A machine without power starts again by itself.
        if self._there and not self._drill.powers_off:
            self._plays.drill("heal", run_hosts=self._host.name)
            self._there = False
