"""Pages that stand alone: one HTML file with its style and its pictures in it, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

_STYLE = Path(__file__).resolve().parent / "data" / "page.css"


def page(title: str, parts: Iterable[str]) -> str:
    """A whole document; `title` is text, `parts` are HTML."""
    head = (
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>"
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def heading(text: str, *, level: int = 2) -> str:
    """A heading of this level."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; `kind` is its class: dim, well, ill, verdict."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of texts; numbers stand to the right."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in columns)
    lines = ("".join(_cell(value) for value in row) for row in rows)
    return f"<table><tr>{heads}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cell(value: object) -> str:
    kind = ' class="number"' if isinstance(value, int | float) else ""
    return f"<td{kind}>{escape(str(value))}</td>"


def rectangle(x: float, y: float, width: float, height: float, kind: str, says: str = "") -> str:
    """A bar of a picture, in its units; `kind` is well, ill or busy, `says` what a pointer over it tells."""
    told = f"<title>{escape(says)}</title>" if says else ""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">{told}</rect>'


def label(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    """A text of a picture; `anchor` is start, middle or end."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def rule(x: float, top: float, bottom: float, kind: str = "") -> str:
    """An upright line of a picture; `kind` mark for one that stands for a moment."""
    return f'<line class="{kind}" x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>'


def picture(width: float, height: float, parts: Iterable[str], says: str) -> str:
    """A picture of these parts; `says` is for those who cannot see it."""
    return (
        f'<svg class="wide" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(says, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )


def steps(start: float, end: float, most: int = 12) -> list[float]:
    """Round values between two, for the marks of an axis: 1, 2 or 5 times a power of ten apart, at most `most`."""
    span, size = max(end - start, 1e-9), 10.0**-3
    while True:
        for factor in (1, 2, 5):
            step = size * factor
            if span / step <= most:
                first = -(-start // step)
                return [round((first + place) * step, 6) for place in range(int((end - first * step) // step) + 1)]
        size *= 10
