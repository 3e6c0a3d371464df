"""The contract of names and texts: what shares a stem, what documents show, and what no file may say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

from tests.contract.rules.source import code_blocks, lines, load

# A package registry's own host. Import paths such as a Go module's are names, not hosts that anything is fetched from.
REGISTRIES = re.compile(
    r"\b(?:[a-z0-9-]+\.)*(?:(?:pypi|pythonhosted|npmjs|maven|debian)\.(?:org|com|net)|ubuntu\.com|maven\.apache\.org"
    r"|(?:proxy|sum)\.golang\.org|goproxy\.(?:io|cn)|crates\.io)\b"
)
OWN_PATHS = re.compile(r"(?<![\w.-])/(?:work/(?:main|shared)|tmp/bash_jobs|root/venv)\b")
# The lists of names that a test or a data file is about.
MAY_NAME_HOSTS = frozenset(
    {"tests/contract/rules/layout.py", "tests/contract/test_layout.py", "src/provision/data/kubespray_variables.txt"}
)


def tracked(project: Path) -> list[Path]:
    """The project's own text files: what git tracks or would track; every file where there is no repository."""
    if (project / ".git").exists():
        command = ["git", "-C", project, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
        files = [project / name for name in names if name]
    else:
        files = list(project.rglob("*"))
    return sorted(file for file in files if file.is_file() and b"\0" not in file.read_bytes()[:1024])


def no_registry_is_named(project: Path) -> Iterator[str]:
    """Packages come from what each machine is configured for: no registry's host, no path of a developer's machine."""
    for file in tracked(project):
        name = str(file.relative_to(project))
        if name in MAY_NAME_HOSTS:
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        for pattern in (REGISTRIES, OWN_PATHS):
            for found in pattern.finditer(text):
                yield f"{name}:{text.count(chr(10), 0, found.start()) + 1} names {found[0]}"


def workflows_share_a_stem(project: Path) -> Iterator[str]:
    """A command that runs a playbook, its playbook, how-to and test have one name; every playbook has a command."""
    from provision.workflows import WORKFLOWS

    stems = {name.replace(" ", "_") for name in WORKFLOWS}
    for stem in sorted(stems):
        for kind, place in (
            ("playbook", f"playbooks/{stem}.yml"),
            ("how-to", f"docs/how-to/{stem}.md"),
            ("test", f"tests/e2e/test_{stem}.py"),
        ):
            if not (project / place).exists():
                yield f"{stem}: has no {kind}, {place}"
    for file in sorted((project / "playbooks").glob("*.yml")):
        if file.stem not in stems:
            yield f"playbooks/{file.name}: has no command"


def commands_have_a_how_to(project: Path) -> Iterator[str]:
    """Each command of the command line has a page."""
    for name, command in _commands():
        if not (project / "docs/how-to" / f"{name}.md").exists():
            yield f"provision {name}: has no docs/how-to/{name}.md ({(command.help or '').strip().splitlines()[0]})"


def roles_are_complete(project: Path) -> Iterator[str]:
    """A role has its inputs, their defaults and what it does; its phase imports it."""
    called = "\n".join(file.read_text(encoding="utf-8") for file in (project / "playbooks").rglob("*.yml"))
    for role in sorted(path for path in (project / "roles").iterdir() if path.is_dir()):
        for part in ("meta/argument_specs.yml", "meta/main.yml", "tasks/main.yml"):
            if not (role / part).exists():
                yield f"{role.name}: has no {part}"
        if not re.search(rf"\b(?:name|role): {role.name}\b", called):
            yield f"{role.name}: no playbook calls it"


def plays_end_together(project: Path) -> Iterator[str]:
    """A play stops for all hosts when one fails, and gathers no facts."""
    for file in sorted((project / "playbooks").rglob("*.yml")):
        for play in load(file) or []:
            if "hosts" in play and play.get("gather_facts") is not False:
                yield f"{file.relative_to(project)}: {play.get('name')}: gathers facts"
            if "hosts" in play and not isinstance(play.get("any_errors_fatal", True), bool):
                yield f"{file.relative_to(project)}: {play.get('name')}: any_errors_fatal is a template: always true"


def documented_commands_parse(project: Path) -> Iterator[str]:
    """Every `provision …` in a code block of README or docs is a command line that exists."""
    for file in [project / "README.md", *sorted((project / "docs").rglob("*.md")), project / "CONTRIBUTING.md"]:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        # A page that tells its reader to set the variable may leave the option out.
        environment = {"PROVISION_INVENTORY": "site.ini"} if "export PROVISION_INVENTORY" in text else {}
        for block in code_blocks(text):
            for line in block.replace("\\\n", " ").splitlines():
                for command in _provision_calls(line):
                    if problem := parse_problem(command, environment):
                        yield f"{file.relative_to(project)}: {line.strip()}: {problem}"


def _provision_calls(line: str) -> Iterator[list[str]]:
    """The arguments of each call of `provision` in a shell line."""
    line = re.sub(r"^\s*(?:[$#]\s+)?(?:[A-Z_]+=\S+\s+)*", "", line)
    for part in re.split(r"&&|\|\||[|;]", line):
        if re.match(r"\s*(?:sudo\s+)?provision\s+\S", part) and "…" not in part and "..." not in part:
            words = shlex.split(re.sub(r"\s\d?>.*$", "", part), comments=True)
            yield words[words.index("provision") + 1 :]


def parse_problem(words: list[str], environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """Why the command line refuses these arguments; empty when it takes them. Nothing runs."""
    import typer

    command, rest = _top(), list(words)
    while hasattr(command, "get_command") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        command = command.get_command(command.context_class(command), name)
        if command is None:
            return f"there is no command {name}"
    if {"--help", "-h", "--version"} & set(rest):
        return ""
    try:
        with patch.dict(os.environ, environment):
            command.make_context("provision", rest)
    except typer.Exit:
        return ""
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return str(error.format_message())
    return ""


@cache
def _top() -> Any:
    """The whole command line; to make it takes longer than to parse with it."""
    import typer

    from provision.cli import app

    return typer.main.get_command(app)


def _commands() -> Iterator[tuple[str, Any]]:
    """The commands of the first level."""
    top = _top()
    context = top.context_class(top)
    for name in top.list_commands(context):
        yield name, top.get_command(context, name)


def documents_link_to_what_exists(project: Path) -> Iterator[str]:
    """Relative links of README and docs lead somewhere."""
    for file in [*project.glob("*.md"), *sorted((project / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", file.read_text(encoding="utf-8")):
            if not (file.parent / target).exists():
                yield f"{file.relative_to(project)}: links to {target}, which does not exist"


def scripts_are_small(project: Path) -> Iterator[str]:
    """Scripts hold no deployment logic; a long one does."""
    for file in sorted((project / "scripts").rglob("*")):
        if file.is_file() and lines(file) > 120:
            yield f"{file.relative_to(project)}: {lines(file)} lines"


RULES = (
    no_registry_is_named,
    workflows_share_a_stem,
    commands_have_a_how_to,
    roles_are_complete,
    plays_end_together,
    documented_commands_parse,
    documents_link_to_what_exists,
    scripts_are_small,
)
