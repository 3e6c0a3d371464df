"""Checks a bundle: is every file there, and is each what the manifest says."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from provision.bundle import files, manifest
from provision.bundle.files import Digest
from provision.bundle.manifest import Manifest
from provision.errors import PreflightRefused


@dataclass(frozen=True)
class Problem:
    """One file that must not be used. `path` is relative to the bundle."""

    path: str
    kind: Literal["missing", "damaged"]
    detail: str

    def __str__(self) -> str:
        return f"{self.path} is {self.kind}: {self.detail}"


def verify(directory: Path) -> tuple[Manifest, tuple[Problem, ...]]:
    """Reads every file of the bundle: about a second for a GiB. Raises InvalidInput when there is no manifest."""
    found = manifest.load(directory)
    with ThreadPoolExecutor() as pool:
        checked = pool.map(lambda item: _check(directory, *item), found.files.items())
        return found, tuple(problem for problem in checked if problem)


def require(directory: Path) -> Manifest:
    """The manifest of a bundle without problems. Raises PreflightRefused that names the damaged and missing files."""
    found, problems = verify(directory)
    if problems:
        raise refusal(directory, found, problems)
    return found


def refusal(directory: Path, made: Manifest, problems: Sequence[Problem]) -> PreflightRefused:
    """The error for a bundle with problems."""
    shown = "\n".join(f"  {problem}" for problem in problems[:20])
    more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
    return PreflightRefused(
        f"the bundle {directory} has {len(problems)} unusable file{'s' if len(problems) > 1 else ''}:\n{shown}{more}",
        hint=f"make it whole again: provision bundle create --source {made.source} --directory {directory}",
    )


def _check(directory: Path, name: str, wanted: Digest) -> Problem | None:
    path = directory / name
    try:
        found = files.digest(path)
    except FileNotFoundError:
        return Problem(name, "missing", f"expected {wanted.size} bytes")
    except OSError as error:
        return Problem(name, "damaged", str(error))
    if found.size != wanted.size:
        return Problem(name, "damaged", f"{found.size} bytes instead of {wanted.size}")
    if found.sha256 != wanted.sha256:
        return Problem(name, "damaged", f"SHA-256 {found.sha256}, expected {wanted.sha256}")
    return None
