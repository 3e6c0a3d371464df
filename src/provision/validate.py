"""The offline check of a site: every problem in one pass, each with file, line and fix. No machine is contacted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from provision import aliases, checks, checks_alike, checks_files, specs, state
from provision.errors import InvalidInput, Location
from provision.inventory import OWN_GROUPS, Definition, Site, load
from provision.inventory_reader import ENCRYPTED

_FOREIGN_PREFIXES = ("kube_", "kubeadm_", "kubelet_", "kubernetes_", "etcd_", "calico_", "cilium_", "flannel_")
"""Names that can only be meant for us or for Kubespray, beside those that begin with the name of a role."""

_CONNECTION = (
    *("host", "port", "user", "password", "connection", "private_key_file", "shell_type", "shell_executable"),
    *("python_interpreter", "remote_tmp", "timeout", "pipelining", "host_key_checking", "async_dir"),
    *("ssh_host", "ssh_port", "ssh_user", "ssh_pass", "ssh_password", "ssh_private_key_file", "ssh_private_key"),
    *("ssh_args", "ssh_common_args", "ssh_extra_args", "sftp_extra_args", "scp_extra_args", "ssh_executable"),
    "ssh_retries",
    *("ssh_pipelining", "ssh_timeout", "ssh_host_key_checking", "ssh_transfer_method", "ssh_use_tty", "control_path"),
    *("become", "become_user", "become_password", "become_pass", "become_method", "become_exe", "become_flags"),
    *("sudo_pass", "sudo_exe", "sudo_flags", "su_pass", "winrm_transport", "winrm_port", "group_priority", "strategy"),
)
"""Ansible's own variables that inventories set, without `ansible_`; only names very like one of them are doubted."""


def validate(site: Path, overlay: Path | None = None, settings: Mapping[str, object] | None = None) -> Site:
    """Read a site and check it, with `settings` in the place of its own.

    Raises InvalidInput: the first problem, the others in its `others`.
    """
    loaded = load(site, overlay)
    if overlay and (gone := [host.name for host in loaded.hosts if checks.is_only_in_overlay(loaded, host)]):
        from provision.sandbox.overlay import leave_out

        leave_out(overlay, gone)
        loaded = load(site, overlay)
    if settings:
        hosts = tuple(replace(host, vars={**host.vars, **settings}) for host in loaded.hosts)
        loaded = replace(loaded, hosts=hosts)
    problems = check(loaded)
    if overlay:
        # What the sandbox replaces is used on the machines that the site is made for.
        own = load(site)
        problems = _distinct([*problems, *_values(own), *_addresses(own, loaded)])
    if problems:
        first = problems[0]
        raise InvalidInput(first.message, hint=first.hint, location=first.location, others=problems[1:])
    return loaded


def check(site: Site) -> tuple[InvalidInput, ...]:
    """Every problem of a site that was read; empty when it is fit to be used."""
    found = [*_variables(site), *_values(site), *_both_names(site), *_files_never_read(site)]
    doubted = {str(problem.location) for problem in found}
    for structural in (*checks.ALL, *checks_alike.ALL, *checks_files.ALL) if site.control_planes else (checks.groups,):
        # A value of the wrong type is reported once: what follows from it only confuses.
        found += [each for each in structural(site) if str(each.location) not in doubted or not _has_line(each)]
    return _distinct(found)


def _distinct(problems: Iterable[InvalidInput]) -> tuple[InvalidInput, ...]:
    return tuple({(problem.message, str(problem.location)): problem for problem in problems}.values())


def _addresses(own: Site, overlaid: Site) -> Iterator[InvalidInput]:
    """What is wrong with the site's own addresses, and where its sandbox has others by now."""
    if own.control_planes:
        yield from (*checks.addresses(own), *checks.api(own))
    for host in own.hosts:
        node = overlaid.host(host.name).address
        if host.address and host.address != node:
            yield InvalidInput(
                f"{host.name} is at {host.address} here and at {node} in the sandbox",
                hint="give it the old address again, or make another sandbox: `provision sandbox down`, then `up`",
                location=host.location_of("ip", "ansible_host"),
            )


def require_odd_etcd(site: Site) -> None:
    """Refuse (InvalidInput) an even number of etcd members, where no cluster was made of this site before."""
    for problem in checks.even_etcd(site):
        if not state.History.of(site.path).tells_of_a_cluster():
            raise problem


def _has_line(problem: InvalidInput) -> bool:
    return problem.location is not None and problem.location.line > 0


def notices(site: Site) -> tuple[str, ...]:
    """What is worth a look and no mistake: variables of others, hosts that are not touched, aliases without effect."""
    own = specs.specs().keys() | specs.HOST_VARIABLES.keys() | aliases.kubespray_names()
    foreign = {item.name: item.location for item in _of_the_operator(site) if item.name not in own}
    found = [
        f"{location}: {name} is not ours and has no effect here"
        for name, location in foreign.items()
        if not name.startswith("ansible_")
    ]
    idle: dict[str, list[str]] = defaultdict(list)
    for item in filter(_is_idle, _of_the_operator(site)):
        idle[str(Location(item.location.path))].append(item.name)
    found += [f"{file}: Kubespray's {', '.join(names)}: without effect here" for file, names in idle.items()]
    untouched = [host.name for host in site.hosts if host.groups and not set(host.groups) & set(OWN_GROUPS)]
    if untouched:
        found.append(f"{', '.join(untouched)}: in no group of ours, left alone")
    return (*found, *_vip_notices(site), *_workload_notices(site), *_etcd_notices(site), *_upload_notices(site))


def _workload_notices(site: Site) -> Iterator[str]:
    """For Kubespray a control plane that is in kube_node too takes ordinary pods."""
    both = [
        host.name
        for host in site.control_planes
        if "kube_node" in host.groups and "control_plane_workloads_allowed" not in host.vars
    ]
    if both:
        yield (
            f"{', '.join(both)}: in kube_control_plane and in kube_node, and yet without ordinary pods: "
            "where they are wanted set control_plane_workloads_allowed to true"
        )


def _etcd_notices(site: Site) -> Iterator[str]:
    """A cluster passes through an even number when members come and go; a new one with it is refused."""
    return (f"{problem.message}; {problem.hint}" for problem in checks.even_etcd(site))


def _upload_notices(site: Site) -> Iterator[str]:
    """Backups are encrypted and digests are signed, so without TLS none is read or changed; it can be held back."""
    if str(site.setting("backup_s3_url") or "").startswith("http:"):
        yield f"{site.location_of('backup_s3_url')}: backup_s3_url is http: who is on the way sees and can stop uploads"


def _vip_notices(site: Site) -> Iterator[str]:
    """Interfaces are not known offline: preflight looks whether one of the host's networks holds the VIP."""
    vip = str(site.setting("cluster_vip") or "")
    for host in site.load_balancers:
        if vip.rpartition(".")[0] != host.address.rpartition(".")[0]:
            where = site.location_of("cluster_vip")
            yield f"{where}: {vip} is not in the /24 of {host.name} ({host.address}); preflight looks at its interfaces"
            return


def _of_the_operator(site: Site) -> Iterator[Definition]:
    """The definitions of the site's own files; the overlay is made by the sandbox."""
    return (item for item in site.definitions if item.location.path != str(site.overlay))


def _is_idle(item: Definition) -> bool:
    return (
        item.name in aliases.kubespray_names()
        and item.name not in specs.specs()
        and item.name not in aliases.table()
        and aliases.is_idle(item.name, item.value)
    )


def _variables(site: Site) -> Iterator[InvalidInput]:
    """Names that nobody reads."""
    for item in _of_the_operator(site):
        if problem := _name_problem(item):
            message, hint = problem
            yield InvalidInput(message, hint=hint, location=item.location)


def _name_problem(item: Definition) -> tuple[str, str] | None:
    name = item.name
    if name in specs.specs() or name in specs.HOST_VARIABLES:
        return None
    if name.startswith("ansible_"):
        return _connection_problem(name)
    if name in aliases.kubespray_names():
        return _alias_problem(item)
    return _foreign_problem(name)


def _foreign_problem(name: str) -> tuple[str, str] | None:
    near = specs.nearest(name, [*specs.specs(), *aliases.table(), *specs.HOST_VARIABLES])
    if near or name.startswith((*_FOREIGN_PREFIXES, *(f"{role}_" for role in specs.roles()))):
        near = near or specs.nearest(name, specs.specs(), 0.6)
        hint = f"did you mean {near}?" if near else "docs/reference/variables.md lists all of them"
        return f"the variable {name} is not known", hint
    if name.startswith("__"):
        return f"{name} is internal", "set the public options of the role: docs/reference/variables.md"
    return None


def _connection_problem(name: str) -> tuple[str, str] | None:
    short = name.removeprefix("ansible_")
    if short in _CONNECTION:
        return None
    near = specs.nearest(short, _CONNECTION, 0.88)
    return (f"Ansible has no variable {name}", f"did you mean ansible_{near}?") if near else None


def _alias_problem(item: Definition) -> tuple[str, str] | None:
    alias = aliases.table().get(item.name)
    if alias is None:
        if aliases.is_idle(item.name, item.value):
            return None
        return f"Kubespray's {item.name} has no counterpart here", _kubespray_hint(item.name)
    try:
        if alias.applies(item.value):
            alias.translate(item.value)
    except aliases.AliasRefused as refused:
        return str(refused), aliases.hint_for(item.name) or "take the line out, or change its value"
    return None


def _kubespray_hint(name: str) -> str:
    if known := aliases.hint_for(name):
        return known
    if name.endswith("_enabled"):
        return "set it to false; what it installs is not offered here: docs/how-to/from_kubespray.md"
    near = specs.nearest(name, specs.specs(), 0.7)
    if near:
        return f"ours is perhaps {near}; see `provision explain {near}`"
    return "take the line out; docs/how-to/from_kubespray.md"


def _values(site: Site) -> Iterator[InvalidInput]:
    """Values that are not of the type or among the choices of their setting."""
    seen: set[tuple[Location, str]] = set()
    for host in site.hosts:
        for name, location in host.origins.items():
            option = specs.specs().get(name)
            if option is None or location == option.location or (location, name) in seen:
                continue
            if host.vars.get(name) == ENCRYPTED:
                continue
            seen.add((location, name))
            for mistake in specs.mistakes(option, host.vars.get(name)):
                yield InvalidInput(f"{mistake.path}: {mistake.reason}", hint=mistake.hint, location=location)


def _both_names(site: Site) -> Iterator[InvalidInput]:
    """Ours and Kubespray's name for the same thing, side by side with different values."""
    own = {(item.scope, item.name): item for item in _of_the_operator(site) if item.name in specs.specs()}
    for use in site.aliases:
        for item in (item for item in site.definitions if item.location == use.origin and item.name == use.name):
            other = own.get((item.scope, use.own))
            if other and str(other.value) != str(use.value):
                yield InvalidInput(
                    f"{use.name} says {use.own} is {use.value}, {other.location} says {other.value}",
                    hint=f"keep {use.own}",
                    location=use.origin,
                )


_READ = (".yml", ".yaml", ".json")


def _reading_order(file: Path) -> tuple[str, int]:
    """Of one owner's files and directory Ansible reads the first: no suffix, then these."""
    return (file.stem, 1 + _READ.index(file.suffix)) if file.suffix in _READ else (file.name, 0)


def _files_never_read(site: Site) -> Iterator[InvalidInput]:
    """Files of group_vars and host_vars that Ansible ignores silently.

    Their name is almost that of a group or host, or another one of the same owner comes first.
    """
    for folder, owners in (("group_vars", tuple(site.groups)), ("host_vars", tuple(host.name for host in site.hosts))):
        parent = site.path.parent / folder
        read: dict[str, Path] = {}
        for file in sorted(parent.iterdir(), key=_reading_order) if parent.is_dir() else ():
            name = file.stem if file.suffix in _READ else file.name
            if name.startswith(".") or name.endswith("~"):
                continue
            if name in owners:
                if (first := read.setdefault(name, file)) != file:
                    yield InvalidInput(
                        f"this is never read, since {folder}/{first.name} is there",
                        hint=f"keep one of the two: put it into {first.name}"
                        + (f"/{file.name}" if first.is_dir() else ""),
                        location=str(file),
                    )
                continue
            if near := specs.nearest(name, owners):
                kind = folder.removesuffix("_vars")
                yield InvalidInput(
                    f"there is no {kind} {name}: the file is never read",
                    hint=f"name it {near}{file.suffix}",
                    location=str(file),
                )
