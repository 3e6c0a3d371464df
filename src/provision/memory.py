"""What pure functions gave, remembered on this machine from one run to the next."""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provision.bundle import files


class Memory:
    """Values that `marshal` can write, code among them, each in a file that is named by what it was made of.

    Only the user's own files are read, since what is in them is run as code. Where that cannot be made sure of, or
    nothing can be written, every value is made anew.
    """

    def __init__(self, directory: Path) -> None:
        """Remember in `directory`, which is made for the user alone."""
        self._directory = directory if _is_own(directory) else None
        self._known: dict[str, Any] = {}

    def recall(self, make: Callable[[], Any], *parts: str | bytes) -> Any:
        """Return what `make` gave for these `parts` before, else what it gives now. Its errors are not remembered."""
        key = _name(parts)
        if key not in self._known:
            value = self._read(key)
            if value is None:
                value = make()
                self._write(key, value)
            self._known[key] = value
        return self._known[key]

    def _read(self, key: str) -> Any:
        if self._directory is None:
            return None
        try:
            return marshal.loads((self._directory / key).read_bytes())  # noqa: S302  # the user's own, as .pyc files are
        except (OSError, EOFError, ValueError, TypeError):
            return None

    def _write(self, key: str, value: Any) -> None:
        if self._directory is None:
            return
        try:
            files.write(self._directory / key, marshal.dumps(value))
        except OSError:
            self._directory = None


def _name(parts: tuple[str | bytes, ...]) -> str:
    found = hashlib.sha256(importlib.util.MAGIC_NUMBER)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "big") + data)
    return found.hexdigest()


def _is_own(directory: Path) -> bool:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and not found.st_mode & 0o022
