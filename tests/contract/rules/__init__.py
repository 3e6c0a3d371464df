"""The project's contract as functions: each takes a project's directory and names what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

Rule = Callable[[Path], Iterator[str]]
"""Yields one line for each violation, which starts with the file or the thing at fault."""
