"""What a drill found, for people, for programs and for the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from provision.drills.probe import INTERVAL, Answer, gap_spans, reasons

FORMAT = 1
_REASONS = 3
"""How many reasons of a measure are shown; the JSON has all of them."""


@dataclass(frozen=True)
class Span:
    """A stretch of time in which all requests of one measure ended alike; seconds since the fault began."""

    start: float
    end: float
    ok: bool
    requests: int


@dataclass(frozen=True)
class Measure:
    """One thing that was asked all the time."""

    name: str
    requests: int
    failed: int
    gap: float
    """The longest time without a good answer that began before healing did, in seconds; from the last one before it
    to the next."""
    gap_at: float | None
    """When that began, in seconds since the fault."""
    gap_healing: float
    """The longest one that began later: what the way back costs."""
    spans: tuple[Span, ...]
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why requests got no good answer, the most frequent reason first, and how often each."""

    @classmethod
    def of(cls, name: str, answers: Sequence[Answer], zero: float, healing: float = float("inf")) -> Measure:
        """Reduce answers; `zero` is the moment of the fault on their clock, `healing` that when healing began."""
        ordered = sorted(answers, key=lambda answer: answer.at)
        away = gap_spans(ordered)
        longest = max((span for span in away if span[0] < healing), key=lambda span: span[1] - span[0], default=None)
        return cls(
            name=name,
            requests=len(ordered),
            failed=sum(not answer.ok for answer in ordered),
            gap=round(longest[1] - longest[0], 3) if longest else 0.0,
            gap_at=round(longest[0] - zero, 3) if longest else None,
            gap_healing=round(max((end - start for start, end in away if start >= healing), default=0.0), 3),
            spans=tuple(_spans(ordered, zero)),
            reasons=dict(reasons(ordered).most_common()),
        )

    @property
    def ended_away(self) -> bool:
        """Whether the last request was not answered: then there is a gap without an end."""
        return bool(self.spans) and not self.spans[-1].ok


def _spans(ordered: Iterable[Answer], zero: float) -> list[Span]:
    found: list[Span] = []
    for answer in ordered:
        at = round(answer.at - zero, 3)
        if found and found[-1].ok == answer.ok:
            last = found[-1]
            found[-1] = Span(last.start, round(at + INTERVAL, 3), last.ok, last.requests + 1)
        else:
            found.append(Span(at, round(at + INTERVAL, 3), answer.ok, 1))
    return found


@dataclass(frozen=True)
class Goal:
    """A gap that is accepted, and the one that was measured; in seconds."""

    measure: str
    limit: float
    value: float
    met: bool


@dataclass(frozen=True)
class Moment:
    """Something that the drill did or saw; `at` in seconds since the fault."""

    at: float
    what: str


@dataclass(frozen=True)
class Report:
    """One drill."""

    drill: str
    what: str
    site: str
    cluster: str
    target: str
    started: str
    moments: tuple[Moment, ...]
    measures: tuple[Measure, ...]
    goals: tuple[Goal, ...]
    rescheduled: float | None
    """Seconds until the pods of the host ran elsewhere; None where that was not measured or did not happen."""
    healthy: bool
    """Whether the status was healthy after healing."""
    changes: int | None
    """What `provision cluster` would have had to do after that; None when it was not asked."""
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """All goals met, and the cluster as before."""
        return self.healthy and self.changes == 0 and all(goal.met for goal in self.goals)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {"format": FORMAT, **asdict(self), "passed": self.passed}

    def text(self) -> str:
        """The report for people, as plain lines."""
        goals = {goal.measure: goal for goal in self.goals}
        lines = [
            f"drill {self.drill} on {self.target} of {self.cluster}, {self.started}",
            self.what,
            "",
            f"{'measure':<16}{'longest gap':>12}{'allowed':>10}{'healing':>10}{'failed':>10}{'asked':>9}",
        ]
        for measure in self.measures:
            goal = goals.get(measure.name)
            allowed = f"{goal.limit:.1f} s" if goal else ""
            gap = "no answer" if measure.ended_away else f"{measure.gap:.2f} s"
            healing = f"{measure.gap_healing:.2f} s"
            late = "  too long" if goal and not goal.met else ""
            lines.append(
                f"{measure.name:<16}{gap:>12}{allowed:>10}{healing:>10}{measure.failed:>10}{measure.requests:>9}{late}"
            )
        lines += self.why()
        if self.rescheduled is not None:
            lines.append(f"the pods of {self.target} ran elsewhere after {self.rescheduled:.1f} s")
        lines += ["", *(f"{moment.at:>8.2f} s  {moment.what}" for moment in self.moments), ""]
        return "\n".join([*lines, self.verdict()])

    def why(self) -> list[str]:
        """A line for each of the most frequent reasons why requests failed, and one for all others of a measure."""
        return [line for measure in self.measures for line in _why(measure)]

    def verdict(self) -> str:
        """The last line: passed, or why not."""
        if self.passed:
            return "Passed: all gaps as allowed, the cluster is healthy and nothing had to be repaired."
        late = [f"{goal.measure} was away {goal.value:.2f} s, allowed {goal.limit:.1f} s" for goal in missed(self)]
        ill = [] if self.healthy else [f"not healthy after healing: {'; '.join(self.problems) or 'no answer'}"]
        due = [f"provision cluster would change {self.changes} things"] if self.changes else []
        unknown = ["no plan could be made"] if self.healthy and self.changes is None else []
        return "Failed: " + "; ".join([*late, *ill, *due, *unknown])


def _why(measure: Measure) -> Iterator[str]:
    found = list(measure.reasons.items())
    for reason, count in found[:_REASONS]:
        yield f"{measure.name} failed {_times(count)}: {reason or 'no good answer'}"
    if rest := sum(count for _, count in found[_REASONS:]):
        yield f"{measure.name} failed {_times(rest)} for other reasons, which the JSON names"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def missed(report: Report) -> list[Goal]:
    """The goals that were not met."""
    return [goal for goal in report.goals if not goal.met]


def judge(limits: Mapping[str, float], measures: Iterable[Measure]) -> tuple[Goal, ...]:
    """Compare the gaps with what is accepted; what gave no answer in the end misses its goal."""
    return tuple(
        Goal(each.name, limits[each.name], each.gap, each.gap <= limits[each.name] and not each.ended_away)
        for each in measures
        if each.name in limits
    )
