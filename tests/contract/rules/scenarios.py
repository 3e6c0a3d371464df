"""The contract of Molecule's scenarios: no role and no workflow goes untested, and none is tested with half a heart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.contract.rules.source import lines, load


def roles_have_a_scenario(project: Path) -> Iterator[str]:
    """A role and its scenario have one name; there are no scenarios of roles that do not exist."""
    roles = {path.name for path in (project / "roles").iterdir() if path.is_dir()}
    scenarios = {path.parent.name.removeprefix("role_") for path in project.glob("molecule/role_*/molecule.yml")}
    for role in sorted(roles - scenarios):
        yield f"{role}: has no molecule/role_{role}"
    for role in sorted(scenarios - roles):
        yield f"molecule/role_{role}: there is no such role"


def workflows_have_a_scenario(project: Path) -> Iterator[str]:
    """A workflow that changes machines has a scenario too."""
    from provision.workflows import WORKFLOWS, Effect

    for name, workflow in WORKFLOWS.items():
        scenario = f"molecule/flow_{name.replace(' ', '_')}"
        if workflow.effect is not Effect.READS and not (project / scenario / "molecule.yml").exists():
            yield f"{name}: has no {scenario}"


def scenarios_are_complete(project: Path) -> Iterator[str]:
    """A scenario of a role names its machines, checks what the role does, and shows a refused input."""
    for scenario in sorted(project.glob("molecule/role_*")):
        name = scenario.relative_to(project)
        role = scenario.name.removeprefix("role_")
        tests = scenario / f"test_{role}.py"
        text = tests.read_text(encoding="utf-8") if tests.exists() else ""
        if not (scenario / "site.ini").exists():
            yield f"{name}: has no site.ini"
        if text.count("\ndef test_") < 4:
            yield f"{name}: {tests.name} checks next to nothing"
        if f"refused({role}_" not in text:
            yield f"{name}: shows no input of the role that is refused"


def molecule_can_read_them(project: Path) -> Iterator[str]:
    """Molecule puts variables in the place of `$NAME` and `${NAME}`; a dollar that is meant is written twice."""
    from molecule.interpolation import Interpolator, InvalidInterpolation, TemplateWithDefaults

    interpolator = Interpolator(TemplateWithDefaults, {})
    for file in sorted(project.glob("molecule/*/molecule.yml")):
        try:
            interpolator.interpolate(file.read_text(encoding="utf-8"))
        except InvalidInterpolation as error:
            yield f"{file.relative_to(project)}: {error.place}"


def roles_are_removed(project: Path) -> Iterator[str]:
    """A role that can be removed is removed at the end of its scenario."""
    for scenario in sorted(project.glob("molecule/role_*/molecule.yml")):
        role = scenario.parent.name.removeprefix("role_")
        settings = load(scenario)["provisioner"]["inventory"]["group_vars"]["all"]
        removed = settings.get("removed_roles", [role])
        if (project / f"roles/{role}/tasks/remove.yml").exists() and role not in removed:
            yield f"molecule/role_{role}: does not remove the role"


def scenarios_have_a_network_of_their_own(project: Path) -> Iterator[str]:
    """Scenarios run side by side: no two have machines in one network."""
    seen: dict[str, str] = {}
    for site in sorted(project.glob("molecule/*/site.ini")):
        found = {word.rpartition(".")[0] for word in site.read_text(encoding="utf-8").split() if word.startswith("ip=")}
        for network in sorted(found):
            if network in seen:
                yield f"{site.relative_to(project)}: {network}.* is the network of {seen[network]}"
            seen[network] = site.parent.name


def scenarios_are_small(project: Path) -> Iterator[str]:
    """What scenarios share is in molecule/shared and .config/molecule."""
    for file in sorted(project.glob("molecule/*/*.yml")):
        if file.parent.name != "shared" and lines(file) > 30:
            yield f"{file.relative_to(project)}: {lines(file)} lines"


RULES = (
    roles_have_a_scenario,
    workflows_have_a_scenario,
    scenarios_are_complete,
    molecule_can_read_them,
    roles_are_removed,
    scenarios_have_a_network_of_their_own,
    scenarios_are_small,
)
