"""A drill's report as one page with its timeline as a picture."""

from __future__ import annotations

from collections.abc import Iterator

from provision import pages
from provision.drills.report import Measure, Report

_WIDTH, _LEFT, _RIGHT = 960.0, 110.0, 20.0
_ROW, _BAR, _TOP = 34.0, 20.0, 24.0


def html(report: Report) -> str:
    """The whole page."""
    goals = {goal.measure: goal for goal in report.goals}
    rows = [
        (
            each.name,
            "no answer" if each.ended_away else f"{each.gap:.2f} s",
            f"{goals[each.name].limit:.1f} s" if each.name in goals else "",
            f"{each.gap_healing:.2f} s",
            each.failed,
            each.requests,
        )
        for each in report.measures
    ]
    moved = f"The pods of {report.target} ran elsewhere after {report.rescheduled} s."
    return pages.page(
        f"Drill {report.drill} on {report.target}",
        [
            pages.heading(f"Drill {report.drill} on {report.target}", level=1),
            pages.paragraph(f"{report.cluster} · {report.started} · {report.site}", "dim"),
            pages.paragraph(report.what),
            pages.paragraph(report.verdict(), f"verdict {'well' if report.passed else 'ill'}"),
            _timeline(report),
            pages.heading("Measured from outside, every 50 ms"),
            pages.table(("measure", "longest gap", "allowed", "while healing", "failed", "asked"), rows),
            *(pages.paragraph(line) for line in report.why()),
            *([pages.paragraph(moved)] if report.rescheduled is not None else []),
            pages.heading("What happened"),
            pages.table(("seconds", ""), [(each.at, each.what) for each in report.moments]),
        ],
    )


def _timeline(report: Report) -> str:
    spans = [span for measure in report.measures for span in measure.spans]
    start = min((span.start for span in spans), default=0.0)
    end = max([span.end for span in spans], default=1.0)
    bottom = _TOP + _ROW * len(report.measures)

    def across(at: float) -> float:
        return _LEFT + (at - start) / max(end - start, 0.001) * (_WIDTH - _LEFT - _RIGHT)

    parts = []
    for at in pages.steps(start, end):
        parts += [
            pages.rule(across(at), _TOP, bottom),
            pages.label(across(at), bottom + 16, f"{at:g} s", anchor="middle"),
        ]
    for place, measure in enumerate(report.measures):
        y = _TOP + _ROW * place + (_ROW - _BAR) / 2
        parts.append(pages.label(_LEFT - 10, y + _BAR * 0.7, measure.name, anchor="end"))
        for left, right, ok, says in _bars(measure):
            width = max(across(right) - across(left), 1.0)
            parts.append(pages.rectangle(across(left), y, width, _BAR, "well" if ok else "ill", says))
    parts += [pages.rule(across(0), _TOP - 6, bottom, "mark"), pages.label(across(0), 14, "fault", anchor="middle")]
    healed = next((each.at for each in report.moments if each.what == "healing"), None)
    if healed is not None and start <= healed <= end:
        parts += [
            pages.rule(across(healed), _TOP - 6, bottom, "mark"),
            pages.label(across(healed), 14, "healing", anchor="middle"),
        ]
    says = "; ".join(f"{each.name}: longest gap {each.gap:.2f} s" for each in report.measures)
    return pages.picture(_WIDTH, bottom + 26, parts, says)


def _bars(measure: Measure) -> Iterator[tuple[float, float, bool, str]]:
    """Bars that meet; the bad ones last, so that a single failed request is not painted over."""
    spans = measure.spans
    ends = [*(span.start for span in spans[1:]), spans[-1].end] if spans else []
    bars = list(zip(spans, ends, strict=True))
    for wanted in (True, False):
        for span, end in bars:
            if span.ok == wanted:
                words = (
                    f"{span.requests} requests {'answered' if span.ok else 'failed'}, {span.start:.2f} to {end:.2f} s"
                )
                yield span.start, end, span.ok, words
