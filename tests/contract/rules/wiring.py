"""What the parts of a role say of each other: names, templates, services, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.contract.rules.roles import without_comments
from tests.contract.rules.source import Role, Task, roles, texts

SECRETIVE = frozenset({"secret_files", "backup_open", "backup_s3", "etcd_certificates", "kubeadm_pki", "kubeadm_token"})
"""Modules that are given secrets or return them."""
MUTE = frozenset({"kubeadm_join", "node_settings"})
"""Modules that hide the secret that they are given by themselves."""
SILENT_SERVICES = {
    "keepalived.service": "speaks VRRP alone",
    "provision-masquerade.service": "ends when it is done",
    "{{ __host_time_service_by_family[__host_os.os_family] }}": "needs a minute to trust a clock",
}
"""Services that nothing can be asked of when they have started, and why."""


def _text(role: Role) -> str:
    code = "\n".join(file.read_text(encoding="utf-8") for file in role.files if file.suffix in (".yml", ".j2"))
    return without_comments(code)


def _outside(project: Path) -> str:
    """What may set a role's names or read its results: playbooks, plugins and the package."""
    patterns = ("playbooks/**/*.yml", "plugins/**/*.py", "src/provision/**/*.py", "groups.yml")
    return "\n".join(file.read_text(encoding="utf-8") for pattern in patterns for file in project.glob(pattern))


def _defined(role: Role) -> set[str]:
    registered = {task.data["register"] for task in role.tasks if "register" in task.data}
    return {*role.variables, *role.defaults, *registered}


def names_are_known(project: Path) -> Iterator[str]:
    """Every internal name that is read is defined, registered, given by an item, or set by a playbook."""
    outside = _outside(project)
    for role in roles(project):
        text = _text(role)
        given = {name for task in role.tasks for name in task.data.get("vars") or {}}
        known = _defined(role) | given | set(re.findall(r"'(__\w+)':", text))
        for name in sorted(set(re.findall(rf"\b__{role.name}_\w+", text)) - known):
            if not re.search(rf"\b{name}\b", outside):
                yield f"{role.name}: {name} is read and never set"


def names_are_used(project: Path) -> Iterator[str]:
    """Every internal name is read somewhere: else a task or a line that needs it was lost."""
    outside = _outside(project)
    for role in roles(project):
        text = _text(role)
        for name in sorted(_defined(role)):
            defining = len(re.findall(rf"^\s*{name}:|\bregister: {name}$", text, flags=re.MULTILINE))
            read = len(re.findall(rf"\b{name}\b", text)) > defining
            if name.startswith("__") and not read and not re.search(rf"\b{name}\b", outside):
                yield f"{role.name}: {name} is set and never read"


def templates_are_used(project: Path) -> Iterator[str]:
    """Every template is written by something."""
    for role in roles(project):
        text = _text(role)
        for file in sorted((role.path / "templates").glob("*")):
            if file.name not in text:
                yield f"{role.name}: templates/{file.name} is never rendered"


def _units(role: Role, *, gone: bool = False) -> Iterator[tuple[Task, Mapping[str, Any]]]:
    """The units of a role that may run; with `gone` those that shall not."""
    for task in role.tasks:
        units = [task.arguments] if task.module == "unit" else []
        if task.module == "converge":
            units = task.arguments.get("units", [])
        if isinstance(units, str):
            units = [unit for name in re.findall(r"__\w+_units", units) for unit in role.variables[name]] or [{}]
        yield from ((task, unit) for unit in units if (unit.get("state") in ("absent", "stopped")) is gone)


def services_restart_with_their_inputs(project: Path) -> Iterator[str]:
    """A running unit watches what it is made from, and starts at boot."""
    for role in roles(project):
        for task, arguments in _units(role):
            if "watch" not in arguments:
                yield f"{role.name}: {task}: watches no input"
            if arguments.get("enabled", True) is not True:
                yield f"{role.name}: {task}: does not start at boot"


def services_are_waited_for(project: Path) -> Iterator[str]:
    """A service that is started is asked whether it works."""
    for role in roles(project):
        for task, unit in _units(role):
            name = str(unit.get("name", ""))
            if not name.endswith(".timer") and name not in SILENT_SERVICES and "ready" not in unit:
                yield f"{role.name}: {task}: {name} is not waited for"


def restarts_are_planned(project: Path) -> Iterator[str]:
    """A unit that is started by a task of its own knows in a plan whether its inputs are about to change."""
    for role in roles(project):
        for task, unit in _units(role):
            if task.module == "unit" and "pending" not in unit:
                yield f"{role.name}: {task}: a plan does not tell that it restarts"


def what_runs_is_stopped(project: Path) -> Iterator[str]:
    """Whoever starts a unit that it wrote or installed takes it away too."""
    for role in roles(project):
        stopped = {unit.get("name") for _, unit in _units(role, gone=True)}
        for task, unit in _units(role):
            name = str(unit.get("name", ""))
            if name not in stopped and "{{" not in name:  # the operating system's own stay
                yield f"{role.name}: {task}: {name} is never stopped"


def written_services_are_run(project: Path) -> Iterator[str]:
    """A unit file that can be enabled belongs to a task that runs it."""
    for role in roles(project):
        run = [str(arguments.get("name")) for _, arguments in _units(role)]
        text = _text(role)
        for name in re.findall(r"/etc/systemd/system/([\w@.-]+)'?, '?template'?: ", text):
            template = re.search(rf"/{re.escape(name)}'?, '?template'?: '?([\w.-]+\.j2)", text)
            file = role.path / "templates" / template[1] if template else None
            if file and file.exists() and "[Install]" in file.read_text(encoding="utf-8") and name not in run:
                yield f"{role.name}: {name} is written and never run"


def secretive_modules_are_silent(project: Path) -> Iterator[str]:
    """Modules that handle secrets run under no_log."""
    for role in roles(project):
        for task in role.tasks:
            if task.module in SECRETIVE and task.data.get("no_log") is not True:
                yield f"{role.name}: {task}: {task.module} without no_log"


def secrets_stay_secret(project: Path) -> Iterator[str]:
    """What comes out of a silent task is given to silent tasks alone, whatever it is called on the way."""
    for role in roles(project):
        secret = {task.data["register"] for task in role.tasks if task.data.get("no_log") and "register" in task.data}
        values = {**role.defaults, **role.variables}
        while more := {name for name in values.keys() - secret if _speaks_of(values[name], secret)}:
            secret |= more
        for task in role.tasks:
            if not task.data.get("no_log") and task.module not in MUTE and _speaks_of(task.arguments, secret):
                yield f"{role.name}: {task}: is given what a silent task returned, without no_log"


def _speaks_of(value: object, names: Iterable[str]) -> bool:
    return any(re.search(rf"\b{name}\b", text) for text in texts(value) for name in names)


RULES = (
    names_are_known,
    names_are_used,
    templates_are_used,
    services_restart_with_their_inputs,
    services_are_waited_for,
    restarts_are_planned,
    what_runs_is_stopped,
    written_services_are_run,
    secrets_stay_secret,
    secretive_modules_are_silent,
)
