"""What passed on this machine, so that what takes long need not run again on the very same files.

Each is one empty file in the user's cache, named by the digest of everything that the result hangs on. Nothing relies
on it: without the cache, with PROVISION_TEST_AGAIN=1, or after `KEPT` days, everything runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from provision.paths import cache_home

AGAIN = "PROVISION_TEST_AGAIN"
"""Set it to run what passed before as well."""
KEPT = 7
"""Days. What is not in the files changes too: the packages that node images are made of, the machine."""
ROOT = Path(__file__).parents[1]
_TOOLS = ("constraints.txt", "pyproject.toml")


class Passed:
    """Whether something passed before with the same files."""

    def __init__(self, what: str, parts: Iterable[str], *, project: Path = ROOT) -> None:
        """`parts` are the files and directories, relative to the project, that the result of `what` hangs on."""
        self._what, self._parts, self._project = what, sorted({*parts, *_TOOLS}), project
        self._file = self._place()

    def _place(self) -> Path:
        digest = hashlib.sha256(f"{self._what}\n{platform.release()} {platform.python_version()}\n".encode())
        for name in self._parts:
            _add(digest, self._project, self._project / name)
        return cache_home() / "tests/passed" / digest.hexdigest()

    @property
    def before(self) -> datetime | None:
        """When it did, in local time; None when it has to run."""
        if os.environ.get(AGAIN) or not self._file.exists():
            return None
        when = self._file.stat().st_mtime
        return datetime.fromtimestamp(when).astimezone() if time.time() - when < KEPT * 86400 else None

    @property
    def reason(self) -> str:
        """Why it need not run; empty when it has to."""
        return f"passed here on {when:%Y-%m-%d at %H:%M} with the same files" if (when := self.before) else ""

    def note(self) -> None:
        """It has passed now, unless somebody changed its files meanwhile. Forgets what is too old."""
        if self._place() != self._file:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        for old in self._file.parent.iterdir():
            # Another process may forget it at the same time.
            with contextlib.suppress(FileNotFoundError):
                if time.time() - old.stat().st_mtime > KEPT * 86400:
                    old.unlink()
        self._file.touch()


def _add(digest: hashlib._Hash, project: Path, path: Path) -> None:
    """Add the file, or all files below the directory, with their names and whether they can be executed."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    assert files, f"{path} is not there"
    for file in files:
        if "__pycache__" not in file.parts:
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.relative_to(project)} {os.access(file, os.X_OK)} {content}\n".encode())
