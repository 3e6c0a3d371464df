"""What a drill measured, reduced, judged and shown; the page needs nothing from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from provision.drills import page
from provision.drills.probe import Answer
from provision.drills.report import Goal, Measure, Moment, Report, Span, judge

ANSWERS = [Answer(at, not 10.0 <= at < 10.3) for at in (9.9, 9.95, 10.0, 10.05, 10.1, 10.3, 10.35)]


def report(**more: object) -> Report:
    measure = Measure.of("API read", ANSWERS, zero=10.0)
    return replace(
        Report(
            drill="vip-holder",
            what="The <VIP> moves.",
            site="/srv/site.ini",
            cluster="example",
            target="cp1",
            started="2026-01-01T00:00:00+00:00",
            moments=(Moment(0.0, "cp1: power off"), Moment(0.2, "healing")),
            measures=(measure,),
            goals=judge({"API read": 2.0}, [measure]),
            rescheduled=None,
            healthy=True,
            changes=0,
        ),
        **more,  # type: ignore[arg-type]
    )


def test_a_measure_is_reduced_to_its_longest_gap_and_its_stretches() -> None:
    measure = Measure.of("API read", ANSWERS, zero=10.0)
    assert (measure.requests, measure.failed) == (7, 3)
    assert (measure.gap, measure.gap_at) == (0.35, -0.05)
    assert [(span.ok, span.requests) for span in measure.spans] == [(True, 2), (False, 3), (True, 2)]
    assert measure.spans[1] == Span(0.0, 0.15, ok=False, requests=3)


def test_what_the_way_back_costs_is_told_apart() -> None:
    away = [*ANSWERS, Answer(20.0, ok=True), Answer(20.05, ok=False), Answer(21.0, ok=True)]
    measure = Measure.of("API read", away, zero=10.0, healing=15.0)
    assert (measure.gap, measure.gap_healing) == (0.35, 1.0)
    assert judge({"API read": 0.5}, [measure])[0].met


def test_why_requests_failed_is_told() -> None:
    why = [Answer(1.0, ok=False, why="TimeoutError timed out after 1.01 s") for _ in range(2)]
    measure = Measure.of("API read", [*why, Answer(2.0, ok=False, why="OSError HTTP 500 etcd is away after 0.10 s")], 0)
    assert measure.reasons == {"TimeoutError timed out": 2, "OSError HTTP 500 etcd is away": 1}
    assert "API read failed 2 times: TimeoutError timed out" in report(measures=(measure,)).text()
    assert "API read failed once: OSError HTTP 500" in report(measures=(measure,)).text()


def test_rare_reasons_are_counted_together() -> None:
    why = [Answer(1.0, ok=False, why=f"OSError {number}") for number in range(5)]
    text = report(measures=(Measure.of("API read", why, 0),)).text()
    assert "API read failed 2 times for other reasons" in text


def test_without_a_failure_there_is_no_gap() -> None:
    measure = Measure.of("Service", ANSWERS[:2], zero=9.0)
    assert (measure.gap, measure.gap_at, measure.failed) == (0.0, None, 0)


def test_what_never_came_back_misses_its_goal() -> None:
    gone = Measure.of("API read", ANSWERS[:5], zero=10.0)
    assert judge({"API read": 2.0}, [gone]) == (Goal("API read", 2.0, 0.0, met=False),)
    assert "no answer" in report(measures=(gone,)).text()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "Passed"),
        ({"goals": (Goal("API read", 0.3, 0.35, met=False),)}, "API read was away 0.35 s, allowed 0.3 s"),
        ({"healthy": False, "problems": ("cp1 is dead",), "changes": None}, "not healthy after healing: cp1 is dead"),
        ({"changes": 2}, "would change 2 things"),
        ({"changes": None}, "no plan could be made"),
    ],
)
def test_the_verdict(more: dict[str, object], says: str) -> None:
    made = report(**more)
    assert says in made.verdict()
    assert made.passed is (not more)
    assert made.as_dict()["passed"] is made.passed


def test_the_page_stands_alone() -> None:
    text = page.html(report())
    assert "&lt;VIP&gt;" in text
    assert not re.search(r"(?:src|href)=|url\(|https?://|@import", text)
    picture = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    bars = [each.get("class") for each in picture.iter("rect")]
    assert sorted(str(kind) for kind in bars) == ["ill", "well", "well"]
    words = [each.text for each in picture.iter("text")]
    assert {"API read", "fault", "healing"} <= set(words)


def test_bars_meet_and_a_single_failure_is_painted_last() -> None:
    picture = ET.fromstring(re.search(r"<svg.*</svg>", page.html(report()), re.DOTALL)[0])  # type: ignore[index]
    bars = [
        (float(str(each.get("x"))), float(str(each.get("width"))), each.get("class")) for each in picture.iter("rect")
    ]
    assert bars[-1][2] == "ill"
    first, second, failed = bars
    assert first[0] + first[1] == pytest.approx(failed[0], abs=0.2)
    assert failed[0] + failed[1] == pytest.approx(second[0], abs=0.2)
