"""The only place that prints: text for people, one JSON document for programs, colour only on a terminal.

With `--output json` standard output holds exactly one JSON document, and everything else goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from provision.errors import InvalidInput, ProvisionError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import TaskID
    from rich.table import Table

    Human: TypeAlias = RenderableType | Callable[[], RenderableType]

Format = Literal["text", "json"]
Unit = Literal["bytes", "items"]


@dataclass
class _Settings:
    """What the options of the command line chose."""

    format: Format = "text"
    verbosity: int = 0


_settings = _Settings()


def configure(*, format: Format | None = None, verbosity: int | None = None) -> None:
    """Choose text or JSON, and how much to say (0 results, 1 steps, 2 and more Ansible's own output)."""
    if format is not None:
        _settings.format = format
    if verbosity is not None:
        _settings.verbosity = verbosity


def is_json() -> bool:
    """Whether standard output is reserved for one JSON document."""
    return _settings.format == "json"


def verbosity() -> int:
    """How many times `--verbose` was given."""
    return _settings.verbosity


def interactive() -> bool:
    """Whether a person is there to be asked and to watch: terminals on both ends and text output."""
    return not is_json() and sys.stdin.isatty() and sys.stdout.isatty()


def console(*, stderr: bool = False) -> Console:
    """A rich console on the stream that messages go to now; honours TERM=dumb, and NO_COLOR for bold and dim too."""
    from rich.console import Console

    stream = sys.stderr if stderr or is_json() else sys.stdout
    plain_width = None if stream.isatty() or "COLUMNS" in os.environ else 160
    return Console(
        file=stream,
        highlight=False,
        soft_wrap=not stream.isatty(),
        width=plain_width,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )


def info(message: str) -> None:
    """Say something that everyone wants to know."""
    console().print(message, markup=False)


def detail(message: str) -> None:
    """Say something only with `--verbose`."""
    if _settings.verbosity:
        console().print(message, markup=False, style="dim")


def success(message: str) -> None:
    """Say that something was done."""
    console().print(message, markup=False, style="green")


def warn(message: str) -> None:
    """Say on standard error that something deserves attention, and go on."""
    console(stderr=True).print(f"warning: {message}", markup=False, style="yellow")


def show(what: RenderableType) -> None:
    """Print a table, a panel or a rich text."""
    console().print(what)


def error(failure: ProvisionError) -> None:
    """Print why the command stops: the message with file and line, the further problems, and the way out."""
    out = console(stderr=True)
    for problem in _problems(failure):
        out.print(_with_label("error", str(problem)))
        if problem.hint:
            out.print(_with_label("hint", problem.hint))


def hint(words: str) -> None:
    """Say on standard error what helps, after a message that did not come from here."""
    console(stderr=True).print(_with_label("hint", words))


def _problems(failure: ProvisionError) -> Iterator[ProvisionError]:
    yield failure
    if isinstance(failure, InvalidInput):
        yield from failure.others


def _with_label(label: Literal["error", "hint"], words: str) -> RenderableType:
    from rich.text import Text

    style = {"error": "bold red", "hint": "cyan"}[label]
    return Text.assemble((f"{'  ' if label == 'hint' else ''}{label}: ", style), words)


def emit(data: Any, human: Human | None = None) -> None:
    """Give the command's result: `data` as the one JSON document with `--output json`, else `human`.

    `human` is text, a rich renderable, or a function that makes one (called only when needed); None prints nothing.
    """
    if is_json():
        json.dump(data, sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
        sys.stdout.flush()
    elif human is not None:
        show(human() if callable(human) else human)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> Table:
    """A plain table whose cells may hold rich renderables; anything else is shown as its text, never cut."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table
    from rich.text import Text

    heads = (Column(name, overflow="fold") for name in columns)
    made = Table(*heads, title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return made


def confirm(question: str, *, expected: str | None = None) -> bool:
    """Ask a yes/no question on the terminal, or for `expected` to be typed where the loss would be great."""
    suffix = f"type {expected} to go on" if expected else "yes/no"
    console().print(f"{question} [{suffix}] ", markup=False, end="")
    try:
        answer = input().strip()
    except EOFError:
        return False
    return answer == expected if expected else answer.lower() in {"y", "yes"}


class Bars(Protocol):
    """Progress of things that are done in parallel, as `progress` gives it. Safe to use from threads."""

    def start(self, name: str, total: float | None = None) -> int:
        """Begin one thing of `total` bytes or items (None: unknown); returns its handle."""

    def advance(self, handle: int, amount: float = 1) -> None:
        """Count `amount` more bytes or items as done."""

    def finish(self, handle: int, note: str = "") -> None:
        """The thing is done; `note` says how (`cached`, `damaged`)."""


@contextmanager
def progress(title: str, *, unit: Unit = "items") -> Iterator[Bars]:
    """Show bars on a terminal, one line per finished thing elsewhere."""
    out = console()
    if not out.is_terminal:
        yield _Lines(title)
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TransferSpeedColumn

    sizes = (DownloadColumn(), TransferSpeedColumn()) if unit == "bytes" else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), *sizes, TextColumn("{task.fields[note]}"))
    out.print(title, markup=False)
    with Progress(*columns, console=out) as shown:
        yield _RichBars(shown)


class _RichBars:
    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def start(self, name: str, total: float | None = None) -> int:
        handle: TaskID = self._shown.add_task(name, total=total, note="")
        return handle

    def advance(self, handle: int, amount: float = 1) -> None:
        self._shown.advance(handle, amount)

    def finish(self, handle: int, note: str = "") -> None:
        task = self._shown.tasks[handle]
        done = task.total if task.total is not None else task.completed or 1
        self._shown.update(handle, total=done, completed=done, note=note)


class _Lines:
    """What `progress` shows where no terminal redraws bars."""

    def __init__(self, title: str) -> None:
        self._names: list[str] = []
        info(title)

    def start(self, name: str, total: float | None = None) -> int:  # noqa: ARG002 - the protocol's
        self._names.append(name)
        return len(self._names) - 1

    def advance(self, handle: int, amount: float = 1) -> None:
        pass

    def finish(self, handle: int, note: str = "") -> None:
        info(f"  {self._names[handle]}{f' ({note})' if note else ''}")
