"""Telling a process from a later one with the same number."""

from __future__ import annotations

from pathlib import Path


def started_at(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when there is none or it only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name, in parentheses, may hold spaces: count from behind it. Field 3 is the state, 22 the start.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])
