"""What the rules read: roles, their tasks and variables, and the text of the project's files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from ansible.playbook.task import Task as AnsibleTask

KEYWORDS = frozenset({"block", "rescue", "always", "local_action", *AnsibleTask.fattributes})
"""What a task may have beside its module."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads Ansible's YAML; tagged values (!unsafe, !vault) as their text."""


_Loader.add_multi_constructor("!", lambda loader, _suffix, node: loader.construct_scalar(node))


def load(path: Path) -> Any:
    """A YAML file's content; None when there is no such file."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader) if path.exists() else None


def texts(value: object) -> Iterator[str]:
    """Every text in a structure, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


@dataclass(frozen=True)
class Task:
    """A task as written, with where it is."""

    file: Path
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.data.get("name", ""))

    @property
    def module(self) -> str:
        """The module's short name; empty for a block."""
        names = [str(key) for key in self.data if key not in KEYWORDS and not str(key).startswith("with_")]
        return names[0].removeprefix("ansible.builtin.") if names else ""

    @property
    def arguments(self) -> Any:
        """What the module is given: a mapping, or the free text of `command`."""
        return next(
            (value for key, value in self.data.items() if str(key).removeprefix("ansible.builtin.") == self.module),
            None,
        )

    def __str__(self) -> str:
        return f"{self.file.name}: {self.name or self.module}"


def flatten(file: Path, entries: object) -> Iterator[Task]:
    """Every task in a task list, those of blocks, rescues and always included."""
    for entry in entries if isinstance(entries, list) else []:
        yield Task(file, entry)
        for part in ("block", "rescue", "always"):
            yield from flatten(file, entry.get(part))


@dataclass(frozen=True)
class Role:
    """One role of the project."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """The public inputs, by argument_specs."""
        specs = (load(self.path / "meta/argument_specs.yml") or {}).get("argument_specs") or {}
        return (specs.get("main") or {}).get("options") or {}

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The defaults; the cluster's are those of groups.yml."""
        if self.name == "cluster":
            return load(self.path.parents[1] / "groups.yml")["all"]["vars"]  # type: ignore[no-any-return]
        return load(self.path / "defaults/main.yml") or {}

    @cached_property
    def variables(self) -> Mapping[str, Any]:
        """The constants of vars/, of all files."""
        found: dict[str, Any] = {}
        for file in sorted((self.path / "vars").glob("**/*.yml")):
            found |= load(file) or {}
        return found

    @property
    def task_files(self) -> list[Path]:
        return sorted((self.path / "tasks").glob("**/*.yml"))

    @property
    def files(self) -> list[Path]:
        """Everything that the role consists of."""
        return sorted(path for path in self.path.glob("**/*") if path.is_file())

    @cached_property
    def tasks(self) -> list[Task]:
        found = [task for file in self.task_files for task in flatten(file, load(file))]
        handlers = sorted((self.path / "handlers").glob("*.yml"))
        return found + [task for file in handlers for task in flatten(file, load(file))]


def roles(project: Path) -> list[Role]:
    """All roles of the project."""
    return [Role(path) for path in sorted((project / "roles").iterdir()) if path.is_dir()]


def playbooks(project: Path) -> list[Path]:
    """All playbooks, those of the phases included."""
    return sorted((project / "playbooks").glob("**/*.yml"))


def play_tasks(project: Path) -> list[Task]:
    """The tasks that playbooks hold themselves."""
    return [
        task
        for file in playbooks(project)
        for play in load(file) or []
        for part in ("pre_tasks", "tasks", "post_tasks")
        for task in flatten(file, play.get(part))
    ]


def lines(path: Path) -> int:
    """How many lines a file has."""
    return len(path.read_text(encoding="utf-8").splitlines())


def code_blocks(markdown: str) -> Iterator[str]:
    """The text of every fenced code block that shows a shell: the others name their language."""
    for match in re.finditer(r"^([ ]*)```(?:sh|bash|console)?\n(.*?)^\1```", markdown, re.MULTILINE | re.DOTALL):
        yield match[2]
