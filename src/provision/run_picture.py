"""The picture of a run: a row for each host, a bar for each step, bands for the phases. SVG in the page's colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil

from provision.timeline import Step

_WIDTH = 1200
_GUTTER_CHARACTER, _LABEL_CHARACTER = 7.2, 6.4
"""About how wide a character of a host's name and of a phase's name is."""
_TOP = 30
_NARROWEST = 1.5
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True)
class _Scale:
    """Where a moment and a host lie, in pixels."""

    hosts: tuple[str, ...]
    end: float
    """Seconds that the picture covers."""

    @property
    def left(self) -> float:
        return 16 + _GUTTER_CHARACTER * max(len(host) for host in self.hosts)

    @property
    def row(self) -> int:
        return 26 if len(self.hosts) <= 40 else 16

    @property
    def bottom(self) -> int:
        return _TOP + self.row * len(self.hosts)

    def x(self, seconds: float) -> float:
        return self.left + (_WIDTH - self.left - 12) * seconds / self.end

    def y(self, host: str) -> int:
        return _TOP + self.row * self.hosts.index(host)


def svg(steps: Sequence[Step]) -> str:
    """The whole picture; `steps` must not be empty."""
    hosts = tuple(dict.fromkeys(step.host for step in steps))
    scale = _Scale(hosts, max(0.1, *(step.start + step.seconds for step in steps)))
    size = f'width="{_WIDTH}" height="{scale.bottom + 26}" viewBox="0 0 {_WIDTH} {scale.bottom + 26}"'
    parts = [
        f'<svg {size} role="img" aria-label="What each host did when">',
        *_bands(steps, scale),
        *_ticks(scale),
        *(_name(host, scale) for host in hosts),
        *(_bar(step, scale) for step in steps),
        "</svg>",
    ]
    return "\n".join(parts)


def _bands(steps: Sequence[Step], scale: _Scale) -> Iterator[str]:
    """Every second phase is shaded; a name is written as far as it fits, and whole when the pointer rests on it."""
    starts: dict[str, float] = {}
    for step in steps:
        starts[step.task.phase] = min(step.start, starts.get(step.task.phase, step.start))
    ordered = sorted(starts, key=starts.__getitem__)
    ends = [*(starts[phase] for phase in ordered[1:]), scale.end]
    for place, (phase, end) in enumerate(zip(ordered, ends, strict=True)):
        left, right = scale.x(starts[phase]), scale.x(end)
        fits = int((right - left - 8) / _LABEL_CHARACTER)
        shown = phase if len(phase) <= fits else f"{phase[: fits - 1]}…" if fits > 3 else ""
        style = "clear" if place % 2 else "band"
        yield (
            f'<g><title>{escape(phase)}</title><rect class="{style}" x="{left:.1f}" y="0"'
            f' width="{right - left:.1f}" height="{scale.bottom}"/>'
            f'<text class="dim" x="{left + 4:.1f}" y="18">{escape(shown)}</text></g>'
        )


def _ticks(scale: _Scale) -> Iterator[str]:
    apart = next((tick for tick in _TICKS if scale.end / tick <= 12), scale.end / 12)
    for number in range(ceil(scale.end / apart)):
        x = scale.x(number * apart)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{scale.bottom + 4}"/>'
        yield f'<text class="dim" x="{x:.1f}" y="{scale.bottom + 18}" text-anchor="middle">{number * apart:g} s</text>'


def _name(host: str, scale: _Scale) -> str:
    return f'<text x="4" y="{scale.y(host) + scale.row / 2 + 4}">{escape(host)}</text>'


def _bar(step: Step, scale: _Scale) -> str:
    left = scale.x(step.start)
    width = max(_NARROWEST, scale.x(step.start + step.seconds) - left - 0.5)
    what = f"{step.task.role}: {step.task.name}" if step.task.role else step.task.name
    told = f"{step.host}\n{what}\n{step.seconds:.1f} s, {step.outcome}, from {step.start:.1f} s\n{step.task.location}"
    return (
        f'<rect class="step {step.outcome}" x="{left:.1f}" y="{scale.y(step.host) + 3}" width="{width:.1f}"'
        f' height="{scale.row - 6}" rx="2"><title>{escape(told.strip())}</title></rect>'
    )
