"""Run a tool of the machine and explain its failure."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from provision.errors import PreflightRefused

_LAST_LINES = 4


def run(argv: Sequence[str], *, hint: str | None = None) -> str:
    """Run `argv` without input and return what it wrote to standard output.

    Raises PreflightRefused with the tool's last words when it fails.
    """
    done = subprocess.run(list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PreflightRefused(f"{' '.join(argv[:3])} failed: {last_words(done.stderr or done.stdout)}", hint=hint)
    return done.stdout


def last_words(output: str) -> str:
    """The end of a tool's output, on one line: where it says what went wrong."""
    lines = [line.strip() for line in output.strip().splitlines() if line.strip()]
    return " / ".join(lines[-_LAST_LINES:]) or "it said nothing"
