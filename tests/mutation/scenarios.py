"""Which Molecule scenarios go through what a mutant changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.contract.rules.source import Task, flatten, load
from tests.mutation.mutants import Mutant


def scenarios_of(project: Path, mutant: Mutant) -> list[str]:
    """The scenario of its role; for a task that this one does not run, the flows of the workflows that do."""
    own = [f"role_{mutant.role}"]
    path = project / mutant.file
    if path.parent.name != "tasks" or path.stem in _of_the_scenario(path.parent):
        return own
    return [flow for stem in _workflows(project, mutant.role, path.stem) for flow in _flows(project, stem)] or own


def _of_the_scenario(tasks: Path) -> set[str]:
    """The task files of a role that its scenario runs: it converges, and removes."""
    found: set[str] = set()
    ahead = {"main", "remove"}
    while ahead:
        stem = ahead.pop()
        found.add(stem)
        ahead |= {
            str(task.arguments["file"] if isinstance(task.arguments, Mapping) else task.arguments).removesuffix(".yml")
            for task in flatten(tasks, load(tasks / f"{stem}.yml"))
            if task.module in {"import_tasks", "include_tasks"}
        } - found
    return found


def _workflows(project: Path, role: str, tasks_from: str) -> list[str]:
    """The playbooks that run these tasks, themselves or in a phase, by their stems."""
    playbooks = sorted((project / "playbooks").glob("*.yml"))
    return [book.stem for book in playbooks if any(_runs(task, role, tasks_from) for task in _tasks(book))]


def _runs(task: Task, role: str, tasks_from: str) -> bool:
    asked = task.arguments
    return isinstance(asked, Mapping) and (asked.get("name"), asked.get("tasks_from")) == (role, tasks_from)


def _tasks(playbook: Path) -> Iterator[Task]:
    for play in load(playbook) or []:
        phase = play.get("ansible.builtin.import_playbook") or play.get("import_playbook")
        if phase:
            yield from _tasks(playbook.parent / phase)
        for part in ("pre_tasks", "tasks", "post_tasks"):
            yield from flatten(playbook, play.get(part))


def _flows(project: Path, workflow: str) -> list[str]:
    """The workflow's own flow; those that call it in their checks, for one that only reads."""
    if (project / f"molecule/flow_{workflow}").is_dir():
        return [f"flow_{workflow}"]
    called = re.compile(rf'provision\("{workflow}"')
    tests = sorted((project / "molecule").glob("flow_*/test_*.py"))
    return [test.parent.name for test in tests if called.search(test.read_text(encoding="utf-8"))][:1]
