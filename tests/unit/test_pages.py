"""Parts of pages: text is escaped, axes have round marks."""

from __future__ import annotations

import pytest

from provision import pages


@pytest.mark.parametrize(
    ("start", "end", "marks"),
    [
        (0, 10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (-2.2, 3, [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3]),
        (1, 1, [1]),
    ],
)
def test_marks_of_an_axis_are_round(start: float, end: float, marks: list[float]) -> None:
    assert pages.steps(start, end) == marks


def test_text_is_text() -> None:
    made = pages.page("a<b", [pages.paragraph("<script>"), pages.table(["x"], [["<i>", 3]]), pages.label(0, 0, "<t>")])
    assert "<script>" not in made
    assert "<i>" not in made
    assert "<t>" not in made
    assert '<td class="number">3</td>' in made
