"""How the certificates of a cluster look in text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from provision import render
from provision.certificates import AUTHORITY_DAYS, DUE_DAYS, grouped

if TYPE_CHECKING:
    from rich.console import RenderableType


def certificates(found: Mapping[str, Any]) -> RenderableType:
    """A row for each certificate and its days, the first to end at the top; then what is due."""
    authorities = {row["name"] for row in found["certificates"] if row.get("authority")}
    rows = [
        (_days(days, authority=name in authorities), name, ", ".join(hosts))
        for name, days, hosts in grouped(found["certificates"])
    ]
    parts: list[RenderableType] = [render.table(("days left", "certificate", "on"), rows)] if rows else []
    for label, entries in (("warning", found["warnings"]), ("problem", found["problems"])):
        parts += [
            Text.assemble((f"{label}: ", "yellow"), each["message"], (f"  → {each['hint']}", "dim")) for each in entries
        ]
    if not found["problems"]:
        parts.append(Text(f"No certificate ends within {DUE_DAYS} days.", style="bold green"))
    return Group(*parts)


def _days(days: int, *, authority: bool) -> Text:
    if days < DUE_DAYS:
        return Text(str(days), style="bold red")
    return Text(str(days), style="yellow" if authority and days < AUTHORITY_DAYS else "")
