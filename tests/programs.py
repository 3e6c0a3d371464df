"""Finds the programs that judge what the project writes: installed ones, or those that `bundle create` built here."""

from __future__ import annotations

import shutil
from pathlib import Path

from provision.paths import cache_home


def program(name: str) -> Path | None:
    """The path of `name`, or None when this machine has it neither installed nor built."""
    if installed := shutil.which(name):
        return Path(installed)
    built = sorted(cache_home().glob(f"build/*/*/{name}"))
    return built[-1] if built else None
