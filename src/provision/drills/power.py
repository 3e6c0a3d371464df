"""How a fault comes to a host and goes again: through the sandbox's engine, or through the module on the node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from provision import backups, sandbox
from provision.drills.catalog import Until
from provision.errors import ProvisionError
from provision.sandbox.engine import choose_engine

if TYPE_CHECKING:
    from pathlib import Path

    from provision.drills.catalog import Drill
    from provision.drills.plays import Plays
    from provision.inventory import Host, Site


class Fault(Protocol):
    """One fault on one host, or on several at the same time."""

    def prepare(self) -> str:
        """Do what has to be done before the host is injured; returns what that was, empty when there is nothing."""

    def inject(self) -> float:
        """Injure the host; returns when that began, in seconds since the epoch."""

    def repair(self) -> None:
        """Do what the drill trains to do against the fault."""

    def heal(self) -> None:
        """End the fault; a second time does nothing."""


def fault_of(site: Site, drill: Drill, hosts: tuple[Host, ...], plays: Plays) -> Fault:
    """The way to this fault on this site."""
    if drill.powers_off and site.overlay:
        return _SandboxPower(site, hosts[0])
    if drill.until is Until.RESTORED:
        return _LostData(site, drill, hosts, plays)
    return _OnNode(drill, hosts, plays)


def in_containers(site: Site) -> bool:
    """Whether the site's hosts are containers of a sandbox, which share this machine's kernel."""
    found = sandbox.load(site.path) if site.overlay else None
    return found is not None and not choose_engine(found.engine).traits.own_kernel


class _SandboxPower:
    """The plug of a sandbox node."""

    def __init__(self, site: Site, host: Host) -> None:
        self._site, self._host, self._off = site.path, host.name, False

    def prepare(self) -> str:
        return ""

    def inject(self) -> float:
        began, self._off = time.time(), True
        sandbox.kill_node(self._site, self._host)
        return began

    def repair(self) -> None:
        pass

    def heal(self) -> None:
        if self._off:
            sandbox.up(self._site, with_bundle=False)
            self._off = False


class _OnNode:
    """A fault that the module `fault` makes on the node, with a timer there that ends it in any case."""

    def __init__(self, drill: Drill, hosts: tuple[Host, ...], plays: Plays) -> None:
        self._drill, self._plays, self._there = drill, plays, False
        self._hosts = ",".join(host.name for host in hosts)

    def prepare(self) -> str:
        return ""

    def inject(self) -> float:
        fault = {**self._drill.fault, "seconds": round(self._drill.most)}
        self._there = True
        return self._plays.drill("inject", run_hosts=self._hosts, run_fault=fault).began

    def repair(self) -> None:
        pass

    def heal(self) -> None:
        # A machine without power starts again by itself.
        if self._there and not self._drill.powers_off:
            self._plays.drill("heal", run_hosts=self._hosts)
            self._there = False


class _LostData(_OnNode):
    """Data that is set aside on the nodes; the repair is a restore from a backup. Before it, healing puts it back."""

    def __init__(self, site: Site, drill: Drill, hosts: tuple[Host, ...], plays: Plays) -> None:
        super().__init__(drill, hosts, plays)
        self._name = str(site.setting("cluster_name"))
        self._backup: Path | None = None

    def prepare(self) -> str:
        if error := self._plays.run("backup").error:
            raise error
        newest = next(backups.known(self._name))
        found = backups.read(newest)
        found.verify()
        found.cluster_files(backups.default_key())  # a key that does not open it is found out now
        self._backup = newest
        return f"backed up: {newest}"

    def repair(self) -> None:
        # From here on the old data is what saves the cluster if something fails: it stays until the restore has worked.
        self._there = False
        inputs = {
            "run_backup_file": str(self._backup),
            "run_backup_key": str(backups.default_key()),
            "run_cluster": self._name,
        }
        try:
            self._plays.drill("disarm", run_hosts=self._hosts)
            if failed := self._plays.run("restore", inputs=inputs).error:
                raise failed
        except ProvisionError as error:
            kept = f"/var/lib/etcd.drill of {self._hosts}"
            raise ProvisionError(
                f"the restore did not end well: {error.message}; the data from before is in {kept}",
                hint=f"again: provision restore -i SITE {self._backup} --yes {self._name}",
            ) from error
        self._there = True
