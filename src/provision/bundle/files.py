"""Files of a bundle: digests, atomic writes, copies and archives that come out the same every time."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20


@dataclass(frozen=True)
class Digest:
    """What a file must be: SHA-256 in lower-case hexadecimal, and its size in bytes."""

    sha256: str
    size: int


def digest(path: Path) -> Digest:
    """Reads the whole file. Raises OSError."""
    with path.open("rb") as stream:
        value = hashlib.file_digest(stream, "sha256").hexdigest()
    return Digest(value, path.stat().st_size)


def matches(path: Path, sha256: str, size: int | None = None) -> bool:
    """Whether the file exists with this content; a wrong size saves reading it."""
    if not path.is_file() or (size is not None and path.stat().st_size != size):
        return False
    return digest(path).sha256 == sha256


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when the block ends well, and leaves no trace when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
        scratch = Path(stream.name)
        try:
            yield stream  # type: ignore[misc]
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            scratch.replace(path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise


def write(path: Path, content: bytes | str) -> None:
    """Writes a small file atomically."""
    with replacing(path) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def copy(source: Path, path: Path) -> Digest:
    """Copies a file unless the same content is there already; returns what it is.

    Never a hard link: damage in the bundle must not reach the cache.
    """
    wanted = digest(source)
    if not matches(path, wanted.sha256, wanted.size):
        with source.open("rb") as origin, replacing(path) as stream:
            shutil.copyfileobj(origin, stream, CHUNK)
    return wanted


def write_tar_gz(path: Path, members: Mapping[str, Path]) -> None:
    """A .tar.gz of executables: no times, no owners, no compression (it is unpacked far more often than stored)."""
    with (
        replacing(path) as stream,
        gzip.GzipFile(filename="", mode="wb", compresslevel=0, fileobj=stream, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(members):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = members[name].stat().st_size, 0o755
            with members[name].open("rb") as content:
                archive.addfile(entry, content)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits until no other thread or process has the lock: two must not make the same thing in the same place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
