"""The ways to break a role: small changes of one place, made from the role's own text."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Mutant:
    """One role with one thing wrong."""

    role: str
    kind: str
    file: str
    """Relative to the project."""
    line: int
    """Counted from 1."""
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def name(self) -> str:
        """What names it in reports and among the reasons: it survives that lines above it move."""
        return f"{self.file}: {self.kind}: {self.before[0].strip()}"

    def apply(self, project: Path) -> None:
        """Break the role in this copy of the project."""
        path = project / self.file
        lines = path.read_text(encoding="utf-8").splitlines()
        lines[self.line - 1 : self.line - 1 + len(self.before)] = self.after
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


Change = tuple[int, int, Sequence[str]]
"""From the line of this index, so many lines become these."""
Rule = Callable[[Sequence[str]], Iterator[Change]]


def _each_line(pattern: str, make: Callable[[re.Match[str]], str | None]) -> Rule:
    """A rule for lines that hold the pattern: `make` gives what stands there instead, None to drop the line."""

    def rule(lines: Sequence[str]) -> Iterator[Change]:
        for index, line in enumerate(lines):
            if (found := re.search(pattern, line)) and not line.lstrip().startswith("#"):
                made = make(found)
                yield index, 1, [] if made is None else [line[: found.start()] + made + line[found.end() :]]

    return rule


def _drop(pattern: str) -> Rule:
    return _each_line(pattern, lambda _: None)


def _task_removed(lines: Sequence[str]) -> Iterator[Change]:
    starts = [index for index, line in enumerate(lines) if line.startswith("- ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield start, end - start, []


def _unit_not_enabled(lines: Sequence[str]) -> Iterator[Change]:
    for index, line in enumerate(lines[:-1]):
        rest = lines[index + 1 : index + 4]
        if re.fullmatch(r" +unit:", line) and not any(
            "state: absent" in each or "state: stopped" in each for each in rest
        ):
            indent = " " * (len(line) - len(line.lstrip()) + 2)
            yield index, 1, [line, f"{indent}enabled: false"]


def _one_more(found: re.Match[str]) -> str:
    return str(int(found[0]) + 1)


def _flipped(found: re.Match[str]) -> str:
    return {"true": "false", "false": "true"}[found[0]]


_TASKS: dict[str, Rule] = {
    "task removed": _task_removed,
    "condition inverted": _each_line(r"(?<= when: )[^>|\[]+$", lambda found: f"not ({found[0].strip()})"),
    "secret shown": _drop(r"^ +no_log: true$"),
    "restart forgotten": _drop(r"^ +(watch|pending): .+$"),
    "not enabled": _unit_not_enabled,
    "not waited for": _drop(r"^ +ready: .+$"),
}
_VARIABLES: dict[str, Rule] = {
    "mode opened": _each_line(
        r"(?<=[\"'])0[67][0-7]{2}(?=[\"'])", lambda found: "0777" if found[0] != "0777" else "0700"
    ),
    "owner dropped": _each_line(r", (owner|group): \w+", lambda _: ""),
    "validation dropped": _each_line(r", validate: [^}]+", lambda _: ""),
    "port changed": _each_line(r"(?<=:)\d{4,5}\b", _one_more),
    "setting dropped": _drop(r"^  [\w.-]+: [^|>\[{].*$"),
    "entry dropped": _drop(r"^  - .+$"),
}
_DEFAULTS: dict[str, Rule] = {
    "default changed": _each_line(r"(?<=: )\d+$", _one_more),
    "default flipped": _each_line(r"(?<=: )(true|false)$", _flipped),
}
_TEMPLATES: dict[str, Rule] = {
    "line dropped": _drop(r"^(?!\s*(\{[%#]|[#;]|\S*$)).+\S"),
    "number changed": _each_line(r"(?<![\w.])\d+(?![\w.])", _one_more),
    "condition inverted": _each_line(r"(?<=\{% if )[^%]+(?= %\})", lambda found: f"not ({found[0]})"),
}
RULES: dict[str, dict[str, Rule]] = {
    "tasks/*.yml": _TASKS,
    "vars/main.yml": _VARIABLES,
    "defaults/main.yml": _DEFAULTS,
    "templates/*": _TEMPLATES,
}


def mutants_of(project: Path, role: str) -> Iterator[Mutant]:
    """Every mutant of a role that its file's format allows."""
    for pattern, rules in RULES.items():
        for path in sorted((project / "roles" / role).glob(pattern)):
            lines = path.read_text(encoding="utf-8").splitlines()
            for kind, rule in rules.items():
                for index, count, after in rule(lines):
                    if _is_meant(lines, index, count, after, yml=path.suffix == ".yml"):
                        name = str(path.relative_to(project))
                        yield Mutant(role, kind, name, index + 1, tuple(lines[index : index + count]), tuple(after))


def _is_meant(lines: Sequence[str], index: int, count: int, after: Sequence[str], *, yml: bool) -> bool:
    """Not a broken file and not the same file: those tell nothing about tests."""
    if not yml:
        return True
    changed = [*lines[:index], *after, *lines[index + count :]]
    made = _loaded(changed)
    return made is not None and made != _loaded(lines)


def _loaded(lines: Sequence[str]) -> Any:
    try:
        return yaml.safe_load("\n".join(lines))
    except yaml.YAMLError:
        return None


def sample(mutants: Sequence[Mutant], most: int, seed: int) -> list[Mutant]:
    """At most so many, of each kind in turn; the same seed gives the same ones."""
    chance = random.Random(seed)
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        kinds[mutant.kind].append(mutant)
    for group in kinds.values():
        chance.shuffle(group)
    chosen: list[Mutant] = []
    while len(chosen) < most and any(kinds.values()):
        chosen += [group.pop() for group in kinds.values() if group]
    return sorted(chosen[:most], key=lambda mutant: (mutant.file, mutant.line))
