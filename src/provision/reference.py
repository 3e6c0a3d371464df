"""The pages of docs/reference that are made from code, so that they cannot say anything else than the code does.

`python -m provision.reference DIRECTORY` writes them; a test compares.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer

from provision import catalog, errors, settings, support

_NOTE = "<!-- Made from code by scripts/reference. Change the code, then run it. -->"


def pages() -> Mapping[str, str]:
    """File name -> text of every generated page."""
    made: Mapping[str, Callable[[], str]] = {
        "command-line.md": command_line,
        "exit-codes.md": exit_codes,
        "support.md": support.page,
        "variables.md": settings.reference_markdown,
        "versions.md": versions,
    }
    return {name: f"{_NOTE}\n{make().strip()}\n" for name, make in made.items()}


def write(directory: Path) -> tuple[str, ...]:
    """Write the pages that differ; returns their names."""
    changed = []
    for name, text in pages().items():
        file = directory / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            directory.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            changed.append(name)
    return tuple(changed)


def command_line() -> str:
    """Every command with its arguments and options."""
    from provision.cli import app

    top = typer.main.get_command(app)
    return "\n".join(["# Command line", "", *_command("provision", top, None)])


def _command(path: str, command: Any, parent: typer.Context | None) -> Iterator[str]:
    context = command.context_class(command, parent=parent, info_name=path.rsplit(maxsplit=1)[-1])
    children = command.list_commands(context) if hasattr(command, "list_commands") else []
    if parent is not None:
        yield from (f"## {path}", "")
    if not children:
        yield from ("```text", command.get_usage(context).removeprefix("Usage: "), "```", "")
    yield from (_help(command), "")
    yield from _options(command)
    for name in sorted(children):
        child = command.get_command(context, name)
        if not child.hidden:
            yield from _command(f"{path} {name}", child, context)


def _help(command: Any) -> str:
    """The help as Markdown: what follows "Example:" is code."""
    parts = inspect.cleandoc(command.help or "").split("\n\n")
    for number, part in enumerate(parts):
        if part.strip() in ("Example:", "Examples:"):
            lines = [line.strip() for example in parts[number + 1 :] for line in example.splitlines()]
            return "\n\n".join([*parts[:number], "\n".join(["```", *lines, "```"])])
    return "\n\n".join(parts)


def _options(command: Any) -> Iterator[str]:
    rows = [_option(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    if rows:
        yield from ("| option | meaning |", "|---|---|", *rows, "")


def _option(parameter: Any) -> str:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        names = _metavar(parameter)
    elif not getattr(parameter, "is_flag", True) and not parameter.count:
        names = f"{names} {_metavar(parameter)}"
    notes = [str(parameter.help or "")]
    if isinstance(parameter.envvar, str):
        notes.append(f"Environment: `{parameter.envvar}`.")
    if parameter.required:
        notes.append("Required.")
    elif parameter.default not in (None, False, 0, "", ()) and not callable(parameter.default):
        notes.append(f"Default: `{getattr(parameter.default, 'value', parameter.default)}`.")
    return f"| `{_cell(names)}` | {_cell(' '.join(notes))} |"


def _metavar(parameter: Any) -> str:
    """What a value is called: the name that the option gives it, or its choices, or the option's own name."""
    annotation = parameter.type_descriptor.annotation
    kind = next(iter(get_args(annotation)), annotation)
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return "|".join(str(choice.value) for choice in kind)
    return str(parameter.metavar or parameter.name.upper())


def exit_codes() -> str:
    """What the command ends with, and when."""
    lines = ["# Exit codes", "", "| code | kind | when |", "|---|---|---|", f"| {errors.EXIT_OK} | | Done. |"]
    for kind in sorted(errors.ALL, key=lambda kind: kind.exit_code):
        first = (inspect.getdoc(kind) or "").split("\n\n")[0]
        lines.append(f"| {kind.exit_code} | `{kind.__name__}` | {_cell(first)} |")
    return "\n".join(lines)


def versions() -> str:
    """Which versions can be installed and what goes with them."""
    known = catalog.load()
    releases = known.known_versions()
    everything = {
        version: {part.name: part for part in known.components(version, known.optional)} for version in releases
    }
    lines = [
        "# Versions",
        "",
        "What goes with each Kubernetes version; `provision catalog list` shows the same.",
        "",
        f"| component | licence | {' | '.join(releases)} |",
        "|---|---|" + "---|" * len(releases),
    ]
    for name, component in everything[releases[0]].items():
        shown = " | ".join(everything[version][name].version for version in releases)
        label = f"[{name}]({component.project}){' (optional)' if component.optional else ''}"
        lines.append(f"| {label} | {component.licence} | {shown} |")
    lines += ["", "Operating systems whose packages a bundle can carry:", ""]
    lines += [f"- {distribution.distribution}" for distribution in known.distributions]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text for a table: no line ends, no column bars."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m provision.reference DIRECTORY")
    write(Path(sys.argv[1]))
