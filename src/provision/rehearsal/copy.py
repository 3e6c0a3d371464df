"""A copy of a site for a rehearsal: its inventory without some hosts, its settings as they are, all addresses moved."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from provision.errors import InvalidInput, PreflightRefused
from provision.inventory_reader import ENCRYPTED
from provision.paths import project_root, state_home
from provision.state import site_key

if TYPE_CHECKING:
    from provision.inventory import Host, Site
    from provision.rehearsal.network import Moved

_VAULT = b"$ANSIBLE_VAULT;"
_VARIABLES = ("group_vars", "host_vars")
_ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d]|\.\d)")


def path_for(site: Path) -> Path:
    """The inventory file of the site's copy."""
    return state_home() / "rehearsals" / site_key(site) / "site.yml"


def choose(site: Site, workers: int | None) -> tuple[Host, ...]:
    """The hosts that take part: all, or everything but workers and `workers` of those, of as many kinds as can be."""
    planes = (*site.control_planes, *site.etcd_members, *site.load_balancers)
    candidates = [host for host in site.nodes if host not in planes]
    if workers is None or len(candidates) <= workers:
        return site.hosts
    kinds: dict[tuple[str, ...], list[Host]] = {}
    for host in candidates:
        kinds.setdefault(tuple(sorted(host.groups)), []).append(host)
    chosen: list[Host] = []
    while len(chosen) < workers:
        for kind in kinds.values():
            if kind and len(chosen) < workers:
                chosen.append(kind.pop(0))
    return tuple(host for host in site.hosts if host in chosen or host not in candidates)


def require_readable(site: Site) -> None:
    """Refuse (PreflightRefused) a site with values in a vault whose password is not at hand, and name them."""
    closed = sorted({f"{item.name} ({item.location})" for item in site.definitions if item.value == ENCRYPTED})
    if closed:
        raise PreflightRefused(
            f"values of the site are in a vault whose password is not at hand: {', '.join(closed)}",
            hint="name the file with the password in ANSIBLE_VAULT_PASSWORD_FILE",
        )


def write(site: Site, moved: Moved, keep: Collection[str]) -> Path:
    """Write the copy with these hosts anew and return its inventory file. Raises InvalidInput when it is unreadable."""
    file = path_for(site.path)
    shutil.rmtree(file.parent, ignore_errors=True)
    file.parent.mkdir(parents=True, mode=0o700)
    exported = _exported(site.path)
    for group in _groups(exported):
        group["hosts"] = {
            name: _moved_values(values or {}, moved.replaced)
            for name, values in group.get("hosts", {}).items()
            if name in keep
        }
        group["vars"] = _moved_values(group.get("vars") or {}, moved.replaced)
    own = exported["all"].setdefault("hosts", {})
    for name in keep:
        own[name] = {**own.get(name, {}), **_host_values(site, moved.hosts[name])}
    _write_private(file, yaml.dump(exported, Dumper=_Dumper, sort_keys=False, width=200))
    for directory in _VARIABLES:
        _copy_variables(site.path.parent / directory, file.parent / directory, moved, keep)
    return file


def _host_values(site: Site, address: str) -> dict[str, str]:
    values = {"ansible_host": address, "ip": address, "access_ip": address}
    # The external balancer does not know the sandbox: each node gets one of its own.
    return {**values, "cluster_api_address": ""} if site.api_mode == "external" else values


def _exported(inventory: Path) -> dict[str, Any]:
    """The inventory file alone, as Ansible writes it: groups, hosts and the variables in it; vaults stay closed."""
    with tempfile.TemporaryDirectory(prefix="provision-") as name:
        lonely = Path(name) / inventory.name
        shutil.copy(inventory, lonely)
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ansible", "inventory", "-i", str(lonely), "--list", "--yaml", "--export"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "ANSIBLE_CONFIG": str(project_root() / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        )
    if done.returncode != 0:
        raise InvalidInput(done.stderr.strip().splitlines()[-1], location=str(inventory))
    found: dict[str, Any] = yaml.load(done.stdout, Loader=_Loader)  # noqa: S506 - a SafeLoader that keeps vaults closed
    return found


def _groups(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every group of the document, `all` first. Groups without anything in them are made dictionaries."""
    found: list[dict[str, Any]] = []
    open_: list[dict[str, Any]] = [document["all"]]
    while open_:
        group = open_.pop()
        found.append(group)
        children = {name: child or {} for name, child in (group.get("children") or {}).items()}
        if children:
            group["children"] = children
        open_.extend(children.values())
    return found


def _moved_values(values: Any, replaced: Mapping[str, str]) -> Any:
    """The value with every address in it replaced that has a new one."""
    if isinstance(values, Mapping):
        return {key: _moved_values(value, replaced) for key, value in values.items()}
    if isinstance(values, list):
        return [_moved_values(value, replaced) for value in values]
    return moved_text(values, replaced) if type(values) is str else values


def moved_text(text: str, replaced: Mapping[str, str]) -> str:
    """The text with every whole address replaced that has a new one."""
    return _ADDRESS.sub(lambda found: replaced.get(found[0], found[0]), text)


def _copy_variables(source: Path, target: Path, moved: Moved, keep: Collection[str]) -> None:
    for path in sorted(source.rglob("*")) if source.is_dir() else []:
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(source).parts):
            continue
        data = path.read_bytes()
        if not data.startswith(_VAULT):
            data = moved_text(data.decode(), moved.replaced).encode()
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_private(copy, data)
    if target.name == "host_vars" and target.is_dir():
        for path in target.iterdir():
            if path.name not in keep and path.stem not in keep:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _write_private(path: Path, data: str | bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


class _Closed(str):
    """An encrypted value: carried on as it is."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """Reads what Ansible exports."""


class _Dumper(yaml.SafeDumper):
    """Writes it again."""


def _text(_loader: yaml.SafeLoader, node: yaml.nodes.ScalarNode) -> str:
    return str(node.value)


def _closed(_loader: yaml.SafeLoader, node: yaml.nodes.ScalarNode) -> str:
    return _Closed(node.value)


_Loader.add_constructor("!vault", _closed)
_Loader.add_constructor("!unsafe", _text)
_Dumper.add_representer(_Closed, lambda dumper, value: dumper.represent_scalar("!vault", str(value), style="|"))
