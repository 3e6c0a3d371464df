"""A site: its machines, groups and settings, and where each value comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Literal

from provision import aliases
from provision.aliases import AliasUse
from provision.errors import InvalidInput, Location
from provision.inventory_reader import Definition, HostReading, Reading, read
from provision.paths import groups_file, project_root

__all__ = ["OWN_GROUPS", "Definition", "Host", "Site", "load", "site_file"]

OWN_GROUPS = (
    "kube_control_plane",
    "kube_node",
    "etcd",
    "load_balancer",
    "gpu_node",
    "accelerator_node",
    "storage_node",
    "nas",
    "mirror",
    "k8s_cluster",
)
_NAMES_IN_A_DIRECTORY = (
    "site.ini",
    "site.yml",
    "inventory.ini",
    "inventory.yml",
    "hosts.ini",
    "hosts.yml",
    "hosts.yaml",
    "hosts",
)

ApiMode = Literal["vip", "external", "local"]


@dataclass(frozen=True)
class Host:
    """A machine of the site."""

    name: str
    groups: tuple[str, ...]
    vars: Mapping[str, object]
    """Effective values: defaults of the cluster's settings, the site's own, aliases translated."""
    chain: tuple[Definition, ...]
    """Where its variables are set, weakest first."""

    @property
    def node_name(self) -> str:
        """The name it has as a node."""
        return self.name.lower()

    @property
    def address(self) -> str:
        """The address that the other machines use: `ip`, else `ansible_host`; empty when neither is set."""
        return str(self.vars.get("ip") or self.vars.get("ansible_host") or "")

    @property
    def connect_address(self) -> str:
        """The address or name that ssh goes to."""
        return str(self.vars.get("ansible_host") or self.vars.get("ip") or self.name)

    @cached_property
    def origins(self) -> Mapping[str, Location]:
        """Where each variable's effective value is written; our names that come from aliases included."""
        found: dict[str, Location] = {}
        for item in self.chain:
            found[item.name] = item.location
            for use in alias_uses(item):
                if use.own and use.own not in _set_beside(item, self.chain):
                    found[use.own] = item.location
        return found

    def location_of(self, *names: str) -> Location | None:
        """Where the first of these variables that is set is written."""
        return next((self.origins[name] for name in names if name in self.origins), None)


@dataclass(frozen=True)
class Site:
    """Everything that the inventory says, read once."""

    path: Path
    """The inventory file of the operator, absolute."""
    overlay: Path | None
    hosts: tuple[Host, ...]
    groups: Mapping[str, tuple[str, ...]]
    """Every group and the names of its hosts, those of its children included."""
    definitions: tuple[Definition, ...]
    """Every variable that the site's own files and the overlay set, in no order of rank."""
    warnings: tuple[str, ...]
    """What Ansible would have warned about."""

    @property
    def sources(self) -> tuple[Path, ...]:
        """The inventory sources in the order in which Ansible must get them."""
        return _sources(self.path, self.overlay)

    @cached_property
    def aliases(self) -> tuple[AliasUse, ...]:
        """The Kubespray names that the site uses, and what they became."""
        uses = [use for item in self.definitions for use in alias_uses(item)]
        return tuple({(use.name, use.own, str(use.value), use.origin): use for use in uses}.values())

    def host(self, name: str) -> Host:
        """One machine by its inventory name. Raises InvalidInput with the nearest name."""
        for host in self.hosts:
            if host.name == name:
                return host
        names = [host.name for host in self.hosts]
        near = get_close_matches(name, names, 1)
        raise InvalidInput(
            f"{name} is no host of {self.path.name}",
            hint=f"did you mean {near[0]}?" if near else f"its hosts are {', '.join(names)}",
            location=str(self.path),
        )

    def members(self, group: str) -> tuple[Host, ...]:
        """The hosts of a group, in the order of the inventory."""
        names = self.groups.get(group, ())
        return tuple(self.host(name) for name in names)

    @property
    def control_planes(self) -> tuple[Host, ...]:
        """The machines that run the API."""
        return self.members("kube_control_plane")

    @property
    def etcd_members(self) -> tuple[Host, ...]:
        """The machines that run etcd: the group `etcd`, by default the control planes."""
        return self.members("etcd") or self.control_planes

    @property
    def nodes(self) -> tuple[Host, ...]:
        """Control planes and workers."""
        return self.members("k8s_cluster")

    @property
    def load_balancers(self) -> tuple[Host, ...]:
        """The machines that hold the VIP: the group `load_balancer`, by default the control planes."""
        return (self.members("load_balancer") or self.control_planes) if self.api_mode == "vip" else ()

    @property
    def api_mode(self) -> ApiMode:
        """How machines reach the API."""
        if self.setting("cluster_vip"):
            return "vip"
        return "external" if self.setting("cluster_api_address") else "local"

    def setting(self, name: str) -> object:
        """A setting of the whole cluster, as the first control plane sees it; None when it is not set anywhere."""
        hosts = self.control_planes or self.hosts
        return hosts[0].vars.get(name) if hosts else None

    def location_of(self, *names: str) -> Location:
        """Where the first of these settings that is set is written; the inventory file when none is."""
        hosts = self.control_planes or self.hosts
        return (hosts[0].location_of(*names) if hosts else None) or Location(str(self.path))


def load(site: Path, overlay: Path | None = None) -> Site:
    """Read a site. `site` is an inventory file or a directory with one; `overlay` is added as the last source.

    Raises InvalidInput with file and line when a file is missing or cannot be parsed.
    """
    path = site_file(site)
    if overlay is not None and not overlay.is_file():
        raise InvalidInput("does not exist", hint="run `provision sandbox up` again", location=str(overlay))
    overlay = overlay.absolute() if overlay else None
    return _site(path, overlay, read(_sources(path, overlay)))


def _sources(path: Path, overlay: Path | None) -> tuple[Path, ...]:
    return (groups_file(), path, *((overlay,) if overlay else ()))


def site_file(site: Path) -> Path:
    """The inventory file that `site` means: itself, or the one in that directory. Raises InvalidInput."""
    site = site.expanduser().absolute()
    if site.is_file():
        if not os.access(site, os.R_OK):
            raise InvalidInput("cannot be read", hint=f"chmod u+r {site}", location=str(site))
        return site
    if not site.is_dir():
        raise InvalidInput(
            "does not exist", hint="give the inventory file of your site with --inventory", location=str(site)
        )
    found = [site / name for name in _NAMES_IN_A_DIRECTORY if (site / name).is_file()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidInput(
            "holds no inventory file",
            hint=f"name it {', '.join(_NAMES_IN_A_DIRECTORY[:4])} or give the file",
            location=str(site),
        )
    names = ", ".join(file.name for file in found)
    raise InvalidInput(f"holds several inventory files: {names}", hint="give one of them", location=str(site))


def _site(path: Path, overlay: Path | None, reading: Reading) -> Site:
    return Site(
        path=path,
        overlay=overlay,
        hosts=tuple(_host(host) for host in reading.hosts),
        groups=reading.groups,
        definitions=tuple(item for item in reading.definitions if not _is_ours(item)),
        warnings=reading.warnings,
    )


def _host(reading: HostReading) -> Host:
    return Host(name=reading.name, groups=reading.groups, vars=reading.variables, chain=reading.chain)


def _is_ours(item: Definition) -> bool:
    """True for the project's defaults, which no operator wrote."""
    root = project_root()
    return item.location.path == str(root / "groups.yml") or item.location.path.startswith(
        f"{root / 'group_vars'}{os.sep}"
    )


def alias_uses(item: Definition) -> tuple[AliasUse, ...]:
    """What one definition means when its name is one of Kubespray's; nothing when it is not or is refused."""
    alias = aliases.table().get(item.name)
    if alias is None or not alias.applies(item.value):
        return ()
    try:
        translated = alias.translate(item.value)
    except aliases.AliasRefused:
        return ()
    if not translated:
        return (AliasUse(item.name, "", item.value, item.location, alias.note),)
    return tuple(AliasUse(item.name, own, value, item.location, alias.note) for own, value in translated.items())


def _set_beside(item: Definition, chain: tuple[Definition, ...]) -> frozenset[str]:
    """The names set in the same place as an alias, which win over it."""
    return frozenset(
        other.name
        for other in chain
        if (other.scope, other.in_file) == (item.scope, item.in_file) and not _is_ours(other)
    )
