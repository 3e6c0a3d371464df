"""The page of figures."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Ours:
    """One round of `provision cluster`; seconds are what a user waits."""

    first: float
    second: float
    plan: float
    added: float
    gap: float
    phases: Mapping[str, float]
    evaluated: Mapping[str, int]
    skipped: Mapping[str, int]


@dataclass
class Figures:
    """What was measured, in the order of the rounds."""

    ours: list[Ours] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    """Of the machine before the first round: how quiet it was."""


def page(figures: Figures, control_planes: Sequence[str]) -> str:
    """The figures as Markdown."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `benchmarks/run`. Fresh sandbox nodes (three control planes, one worker) of one image, their",
        "operating system's packages installed before the clock starts, all files and images from one bundle.",
        "The second run and `node add` come when the machine is calm again.",
        "",
        f"{_machine()}, load {figures.load:.1f} before the first round.",
        f"{datetime.now(UTC):%Y-%m-%d}, commit `{_commit()}`, rounds: {len(figures.ours)}.",
        "",
        "| | " + " | ".join(f"round {number + 1}" for number in range(len(figures.ours))) + " | median | limit |",
        "|---|" + "---|" * (len(figures.ours) + 2),
        _row("first `provision cluster --yes`, s", [each.first for each in figures.ours], _limit_first(figures)),
    ]
    if figures.floor:
        pairs = list(zip(figures.ours, figures.floor, strict=True))
        lines += [
            _row("the floor: by hand, without checks or security, s", figures.floor, ""),
            _row("first run / floor", [ours.first / floor for ours, floor in pairs], "1.5"),
            # A machine that others use too is slower at some hours, by a half and more; so was its floor then.
            _row("second run / floor", [ours.second / floor for ours, floor in pairs], ""),
        ]
    lines += [
        _row("second run, s", [each.second for each in figures.ours], "15"),
        _row("`--plan` of the finished cluster, s", [each.plan for each in figures.ours], ""),
        _row("`node add` of a bare worker with its packages, s", [each.added for each in figures.ours], "25"),
        _row("API gap when the VIP's holder is killed, s", [each.gap for each in figures.ours], "2"),
        *_tasks(figures.ours[-1], control_planes),
        "",
        "## Where the first run's time goes",
        "",
        "| phase | " + " | ".join(f"round {number + 1}" for number in range(len(figures.ours))) + " |",
        "|---|" + "---|" * len(figures.ours),
        *(
            f"| {name} | " + " | ".join(f"{each.phases.get(name, 0):.1f}" for each in figures.ours) + " |"
            for name in figures.ours[-1].phases
        ),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, values: Sequence[float], limit: str) -> str:
    cells = [_number(value) for value in (*values, statistics.median(values))]
    return f"| {name} | {' | '.join(cells)} | {limit} |"


def _number(value: float) -> str:
    """Seconds and ratios as they are read: 1.62, 12.4, 85."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}".removesuffix(".0")


def _limit_first(figures: Figures) -> str:
    return f"{1.5 * statistics.median(figures.floor):.0f}" if figures.floor else ""


def _tasks(ours: Ours, control_planes: Sequence[str]) -> list[str]:
    """The tasks of the last round: the most that a host of each kind evaluated, and the share that was skipped."""
    kinds = {
        "a control plane": [host for host in ours.evaluated if host in control_planes],
        "a worker": [host for host in ours.evaluated if host not in control_planes],
    }
    limits = {"a control plane": 120, "a worker": 70}
    rows = [
        f"| evaluated tasks, {kind} | {max(ours.evaluated[host] for host in hosts)} | {limits[kind]} |"
        for kind, hosts in kinds.items()
        if hosts
    ]
    share = 100 * sum(ours.skipped.values()) / max(1, sum(ours.evaluated.values()))
    return ["", "| tasks of the first run | | limit |", "|---|---|---|", *rows, f"| skipped, % | {share:.1f} | 15 |"]


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "")
    return f"{os.cpu_count()} cores ({model or platform.machine()}), {memory:.0f} GiB, Linux {platform.release()}"


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
