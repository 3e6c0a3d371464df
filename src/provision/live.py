"""What one sees while a run works: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from provision import render, words
from provision.events import (
    AnyEvent,
    Ended,
    HostChanged,
    HostFailed,
    HostResult,
    HostStarted,
    HostUnreachable,
    Message,
    PlayStarted,
    TaskStarted,
)
from provision.outcome import words_of
from provision.results import failure_of

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text


class View(Protocol):
    """Shows events as they come."""

    def add(self, event: AnyEvent) -> None:
        """Show one event."""


@contextmanager
def watch(phases: Sequence[str], *, keep: bool = True) -> Iterator[View]:
    """Give the view that fits where the output goes. `phases` are the plays to come.

    Without `keep` nothing of it stays: for work whose result is what was asked for.
    """
    out = render.console()
    if out.is_terminal and not out.is_dumb_terminal and not render.verbosity():
        from rich.live import Live

        view = _Live(phases)
        with Live(view, console=out, refresh_per_second=8, transient=True):
            yield view
        view.close(time.time())
        if keep:
            render.show(view.history())
    elif not keep and not render.verbosity():
        yield _Nothing()
    else:
        lines = _Lines()
        yield lines
        lines.close(time.time())


class _Nothing:
    def add(self, event: AnyEvent) -> None:
        pass


class _Lines:
    """One line for each phase with its seconds, failures at once; with `--verbose` every step and change."""

    def __init__(self) -> None:
        self._phase = ""
        self._since = 0.0
        self._hosts: set[str] = set()
        self._changed: set[str] = set()

    def add(self, event: AnyEvent) -> None:
        match event:
            case PlayStarted(at, name):
                self.close(at)
                self._phase, self._since, self._hosts, self._changed = name, at, set(), set()
                render.detail(f"{name} …")
            case Ended(at):
                self.close(at)
            case TaskStarted(_, task):
                render.detail(f"  {_step(task.role, task.name)}")
            case Message(_, text) if render.verbosity() > 1:
                render.info(words.without_secrets(text))
            case HostResult():
                self._add_result(event)

    def close(self, at: float) -> None:
        """End the open phase; one in which no host had anything to do is not worth a line."""
        if self._phase and self._hosts:
            changes = f", changes on {len(self._changed)}" if self._changed else ""
            render.info(f"{self._phase:<44} {at - self._since:7.1f} s   {_count(len(self._hosts))}{changes}")
        self._phase = ""

    def _add_result(self, event: HostResult) -> None:
        self._hosts.add(event.host)
        if isinstance(event, HostChanged):
            self._changed.add(event.host)
            render.detail(f"    changed {event.host}: {', '.join(words.diff_summary(event.result)) or event.task.name}")
        elif isinstance(event, HostUnreachable | HostFailed) and not event.ignored:
            failure = failure_of(event)
            step = _step(event.task.role, event.task.name)
            render.info(f"FAILED {event.host}: {step}: {words_of(failure).splitlines()[0]}")


class _Live:
    """Phases that are done, the running one with the current step of each host, and those to come."""

    def __init__(self, phases: Sequence[str]) -> None:
        self._to_come = list(phases)
        self._done: list[Text] = []
        self._phase = ""
        self._start = self._since = time.time()
        self._steps: dict[str, tuple[str, float]] = {}
        self._changed: set[str] = set()
        self._failed: dict[str, str] = {}

    def add(self, event: AnyEvent) -> None:
        match event:
            case PlayStarted(at, name):
                self.close(at)
                self._phase, self._since = name, at
                self._steps, self._changed = {}, set()
                if name in self._to_come:
                    del self._to_come[: self._to_come.index(name) + 1]
            case Ended(at):
                self.close(at)
            case HostStarted(at, host, task):
                self._failed.pop(host, None)  # it was rescued
                self._steps[host] = (_step(task.role, task.name), at)
            case HostFailed(_, host, _, _, ignored) if not ignored:
                self._failed[host] = words_of(failure_of(event)).splitlines()[0]
            case HostUnreachable(_, host, _, _, ignored) if not ignored:
                self._failed[host] = words_of(failure_of(event)).splitlines()[0]
            case HostChanged(_, host):
                self._changed.add(host)
                self._steps[host] = ("", event.at)
            case HostResult(_, host):
                self._steps[host] = ("", event.at)

    def close(self, at: float) -> None:
        """Move the running phase to the finished ones."""
        if self._phase and (self._steps or self._failed):
            from rich.text import Text

            mark = ("✗ ", "red") if self._failed else ("✓ ", "green")
            changes = f", changes on {len(self._changed)}" if self._changed else ""
            note = (f"   {_count(len(self._steps))}{changes}", "dim")
            self._done.append(Text.assemble(mark, f"{self._phase:<44}{at - self._since:7.1f} s", note))
        self._phase = ""

    def history(self) -> RenderableType:
        """The finished phases: what stays on the terminal."""
        from rich.text import Text

        return Text("\n").join(self._done)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield from self._done
        now = time.time()
        if self._phase:
            elapsed = (f"   {_clock(now - self._start)} in all", "dim")
            yield Text.assemble(("▸ ", "cyan"), (f"{self._phase:<44}", "bold"), f"{now - self._since:7.1f} s", elapsed)
            room = max(3, options.max_height - len(self._done) - len(self._to_come) - 3)
            yield from self._host_lines(now, room)
        for name in self._to_come:
            yield Text(f"  {name}", style="dim")

    def _host_lines(self, now: float, room: int) -> Iterator[Text]:
        from rich.text import Text

        # With more hosts than lines, those that still work are the ones to watch.
        busy_first = sorted(self._steps.items(), key=lambda entry: (entry[0] not in self._failed, not entry[1][0]))
        shown = busy_first if len(busy_first) <= room else busy_first[: room - 1]
        width = max((len(host) for host, _ in shown), default=0)
        for host, (step, since) in shown:
            name = f"    {host:<{width}}  "
            if host in self._failed:
                line = Text.assemble(name, (self._failed[host], "red"))
            elif step:
                waited = f"  {now - since:.0f} s" if now - since >= 1 else ""
                line = Text.assemble(f"{name}{step}", (waited, "dim"))
            else:
                line = Text(f"{name}waits for the others", style="dim")
            line.no_wrap, line.overflow = True, "ellipsis"
            yield line
        if len(shown) < len(busy_first):
            yield Text(f"    and {len(busy_first) - len(shown)} more hosts", style="dim")


def _step(role: str, task: str) -> str:
    return f"{role}: {task}" if role else task


def _count(hosts: int) -> str:
    return f"{hosts} host{'' if hosts == 1 else 's'}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
