"""Checks a bundle: is every file there, and is each what the manifest says."""

from __future__ import annotations

import json
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


def require(directory: Path, memory: Path | None = None) -> Manifest:
    """The manifest of a bundle without problems. Raises PreflightRefused that names the damaged and missing files.

    With `memory`, a file where to note what was found valid, only files that the file system has touched since are
    read again: milliseconds instead of seconds. Nothing changes a file's content without its change time.
    """
    if memory is None:
        found, problems = verify(directory)
    else:
        found = manifest.load(directory)
        problems = _verify_touched(directory, found, memory)
    if problems:
        raise refusal(directory, found, problems)
    return found


def _verify_touched(directory: Path, made: Manifest, memory: Path) -> tuple[Problem, ...]:
    try:
        remembered = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        remembered = {}
    stamps = {name: _stamp(directory / name, wanted) for name, wanted in made.files.items()}
    unsure = [name for name, stamp in stamps.items() if not stamp or remembered.get(str(directory / name)) != stamp]
    with ThreadPoolExecutor() as pool:
        checked = pool.map(lambda name: _check(directory, name, made.files[name]), unsure)
        problems = tuple(problem for problem in checked if problem)
    if unsure and not problems:
        files.write(memory, json.dumps({str(directory / name): stamp for name, stamp in stamps.items()}))
    return problems


def _stamp(path: Path, wanted: Digest) -> list[int | str] | None:
    """What tells a file that was found valid from one that was touched since; taken before its content is read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, wanted.sha256]


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
