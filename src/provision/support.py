"""The page that says on which systems each role is shown to work, read from the scenarios, the roles and the tests."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from provision import catalog, own_yaml
from provision.paths import project_root
from provision.preflight_rules import SUPPORTED
from provision.sandbox.image import SUITE

_HEAD = """# Supported systems

The columns are the systems that `provision preflight` admits, by the names in their `/etc/os-release`; it refuses
others unless `host_os_any_allowed` is set. A cell says which tests show that the role works there, not when they last
passed.

| word | what it means |
|---|---|
| `run` | the role's scenario in `molecule/` applies it to container nodes of this system, checks it, applies it again \
and, if it can be removed, removes it |
| `vm` | `scripts/test --vm` applies it to virtual machines of this system too, and reboots them |
| `rendered` | never run: `tests/render` makes its files for this OS family (for this release, if the role asks for \
no more than that), or it does not ask for the system and its files are the same everywhere |
| `declared` | neither: its `meta/main.yml` names the system, or a map in its `vars/` the OS family |
| `-` | nothing at all |
"""
_NEVER = """- arm64: preflight admits it and the catalog has its files, but the bundle of the tests is one for amd64.
- Real GPUs: a GPU node of the tests is any node in `gpu_node`; it serves the devices of Kubernetes' sample plugin.
- Network providers other than `routed`, the only one that a sandbox has; the values of their charts are rendered.
- dnf and rpm, SELinux, and the firewalls that distributions bring.
- Real machines and published cloud images: nodes start from an image that is made of Debian's packages.
"""


@dataclass(frozen=True)
class System:
    """A release that preflight admits. Those of one OS family with the same number are one system."""

    family: str
    release: str
    names: tuple[str, ...]

    @property
    def label(self) -> str:
        """How the page calls it."""
        return f"{', '.join(self.names)} {self.release}"

    @cached_property
    def suites(self) -> frozenset[str]:
        """The code names by which the catalog knows it; none where a bundle carries no packages for it."""
        known = catalog.load().distributions
        return frozenset(each.suite for each in known if each.distribution in self._distributions)

    @property
    def platforms(self) -> frozenset[tuple[str, str]]:
        """By what name and version a role's metadata means it."""
        if self.family == "redhat":
            return frozenset({("EL", self.release)})
        return frozenset((name.capitalize(), suite) for name in self.names for suite in self.suites)

    @property
    def _distributions(self) -> frozenset[str]:
        return frozenset(f"{name}-{self.release}" for name in self.names)


def systems(project: Path) -> tuple[System, ...]:
    """What preflight admits, with the OS family that the probe finds there."""
    os_release = runpy.run_path(str(project / "plugins/module_utils/host_facts.py"))["os_release"]
    found: dict[tuple[str, str], list[str]] = {}
    for name, releases in SUPPORTED.items():
        for release in releases:
            found.setdefault((os_release(f"ID={name}")["os_family"], release), []).append(name)
    return tuple(System(family, release, tuple(names)) for (family, release), names in found.items())


def page() -> str:
    """The text of docs/reference/support.md."""
    project = project_root()
    columns = systems(project)
    run = [system.label for system in columns if SUITE in system.suites]
    others = [system.label for system in columns if SUITE not in system.suites]
    flows = sorted(path.parent.name.removeprefix("flow_") for path in project.glob("molecule/flow_*/molecule.yml"))
    lines = [_HEAD, f"| role | {' | '.join(system.label for system in columns)} |", "|---|" + "---|" * len(columns)]
    for role in sorted(path.name for path in (project / "roles").iterdir() if path.is_dir()):
        cells = [evidence(project, role, system) for system in columns]
        lines.append(f"| {role} | {' | '.join(cells)} |")
    lines += ["", f"Whole clusters (`tests/e2e`) and the workflows' scenarios run on {', '.join(run)} alone:"]
    lines += [f"{', '.join(f'`{flow}`' for flow in flows)}.", "", "## Never run here", ""]
    return "\n".join([*lines, f"- {'; '.join(others)}.", _NEVER])


def evidence(project: Path, role: str, system: System) -> str:
    """The word for the most that there is for a role on a system."""
    # Scenarios, and the tests on virtual machines, take the sandbox's image as it is.
    if SUITE in system.suites and (project / f"molecule/role_{role}/molecule.yml").exists():
        return "run, vm" if role in _roles_on_machines(project) else "run"
    if _is_rendered(project, role, system):
        return "rendered"
    return "declared" if _is_declared(project / "roles" / role, system) else "-"


def _roles_on_machines(project: Path) -> set[str]:
    plays = _load(project / "tests/vm/converge.yml")
    calls = [task.get("ansible.builtin.import_role") for play in plays for task in play["tasks"]]
    return {call["name"] for call in calls if call}


def _is_rendered(project: Path, role: str, system: System) -> bool:
    """Whether a test renders the role as it is on the system: its values stand in the test as they are."""
    asked = {
        name for text in _texts(project / "roles" / role) for name in re.findall(r"\bos_(?:family|id|version)\b", text)
    }
    if not asked:
        return (project / f"tests/render/expected/{role}.txt").exists()
    test = project / f"tests/render/test_{role}.py"
    nodes = ast.walk(ast.parse(test.read_text(encoding="utf-8"))) if test.exists() else ()
    values = {node.value for node in nodes if isinstance(node, ast.Constant)}
    if "os_family" in asked:
        return system.family in values
    return system.release in values and not values.isdisjoint(system.names)


def _texts(role: Path) -> Iterator[str]:
    """What a role's files and tasks are made of."""
    for part in ("defaults", "vars", "tasks", "templates"):
        for file in (role / part).glob("*"):
            yield file.read_text(encoding="utf-8")


def _is_declared(role: Path, system: System) -> bool:
    platforms = (_load(role / "meta/main.yml") or {}).get("galaxy_info", {}).get("platforms", [])
    named = {(each["name"], version) for each in platforms for version in each["versions"]}
    maps = [value for value in (_load(role / "vars/main.yml") or {}).values() if isinstance(value, dict)]
    return not named.isdisjoint(system.platforms) or any(system.family in keys for keys in maps)


def _load(file: Path) -> Any:
    return own_yaml.read(file) if file.exists() else None
