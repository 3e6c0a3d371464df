"""What the parts of a role say of each other: names, templates, services, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.contract.rules.roles import without_comments
from tests.contract.rules.source import Role, Task, roles

SECRETIVE = frozenset({"secret_files", "backup_open", "backup_s3", "etcd_certificates", "kubeadm_pki", "kubeadm_token"})
"""Modules that are given secrets or return them."""


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


def _units(role: Role) -> Iterator[tuple[Task, Mapping[str, Any]]]:
    for task in role.tasks:
        units = [task.arguments] if task.module == "unit" else []
        if task.module == "converge":
            units = task.arguments.get("units", [])
        if isinstance(units, str):
            units = [unit for name in re.findall(r"__\w+_units", units) for unit in role.variables[name]] or [{}]
        yield from ((task, unit) for unit in units if unit.get("state") not in ("absent", "stopped"))


def services_restart_with_their_inputs(project: Path) -> Iterator[str]:
    """A running unit watches what it is made from, and starts at boot."""
    for role in roles(project):
        for task, arguments in _units(role):
            if "watch" not in arguments:
                yield f"{role.name}: {task}: watches no input"
            if arguments.get("enabled", True) is not True:
                yield f"{role.name}: {task}: does not start at boot"


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


RULES = (
    names_are_known,
    names_are_used,
    templates_are_used,
    services_restart_with_their_inputs,
    written_services_are_run,
    secretive_modules_are_silent,
)
