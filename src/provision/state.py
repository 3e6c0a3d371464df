"""What the operator's machine remembers of a site: the record of each run, and the lock for one run at a time.

`<state_home>/sites/<key>/runs/NNNN/run.json` and `<state_home>/sites/<key>/lock`, directories 0700, files 0600.
Records hold no secret: the results they are made of have been cleaned of them.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from provision import __version__
from provision.errors import Locked, UsageError
from provision.paths import state_home

FORMAT = 1
RUNNING, DONE, FAILED, INTERRUPTED, DECLINED, LOST = "running", "done", "failed", "interrupted", "declined", "lost"


def now() -> str:
    """This moment in UTC, as records write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def site_key(site: Path) -> str:
    """The directory name of a site: readable, and distinct for each path."""
    path = site.resolve()
    readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{path.parent.name}-{path.stem}").strip("-").lower()
    return f"{readable}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def site_directory(site: Path) -> Path:
    """Where everything about a site is remembered."""
    return state_home() / "sites" / site_key(site)


@dataclass(frozen=True)
class Record:
    """One run, as `run.json` holds it."""

    number: int
    workflow: str
    site: str
    mode: str
    """`run`, or `plan` when nothing was to be changed."""
    state: str = RUNNING
    exit_code: int | None = None
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    """From the start of the command, questions included, to its end."""
    user: str = ""
    version: str = __version__
    """Of this program."""
    options: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    format: int = FORMAT

    def as_dict(self) -> dict[str, Any]:
        """The record for JSON."""
        return asdict(self)


class History:
    """The runs of one site."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def of(cls, site: Path) -> History:
        """The history of the site at this path."""
        return cls(site_directory(site))

    @classmethod
    def all(cls) -> list[History]:
        """The histories of all sites that this machine knows."""
        root = state_home() / "sites"
        return [cls(path) for path in sorted(root.iterdir())] if root.is_dir() else []

    def begin(self, workflow: str, site: Path, mode: str, options: Mapping[str, Any]) -> Record:
        """Open the record of a new run."""
        number = max(self._numbers(), default=0) + 1
        user = os.environ.get("SUDO_USER") or _user()
        record = Record(number, workflow, str(site.resolve()), mode, started=now(), user=user, options=options)
        self.save(record)
        return record

    def save(self, record: Record) -> None:
        """Write a record so that a reader sees the old one or the new one, never half of one."""
        directory = _private(self.directory / "runs" / f"{record.number:04d}")
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=".run-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(record.as_dict(), out, separators=(",", ":"), default=str)
                out.write("\n")
                out.flush()
                os.fsync(out.fileno())
            Path(temporary).replace(directory / "run.json")
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def records(self) -> list[Record]:
        """All runs, the newest first. A run whose process is gone without an end shows as `lost`."""
        return list(self.newest_first())

    def newest_first(self) -> Iterator[Record]:
        """The same, each read when it is asked for."""
        for number in sorted(self._numbers(), reverse=True):
            if record := self._read(number):
                yield record

    def tells_of_a_cluster(self) -> bool:
        """Whether a cluster was made of the site by these runs, and not reset since."""
        for run in self.newest_first():
            if run.mode == "run" and run.state == DONE and run.workflow in ("cluster", "restore", "reset"):
                return run.workflow != "reset"
        return False

    def last_was_on_sandbox(self) -> bool:
        """Whether the newest run worked on the nodes of the site's sandbox."""
        return any(run.options.get("sandbox") for run in islice(self.newest_first(), 1))

    def record(self, number: int | None = None) -> Record:
        """One run, by default the newest. Raises UsageError when there is none."""
        for record in self.newest_first():
            if number in (None, record.number):
                return record
        numbers = ", ".join(str(record.number) for record in self.records()[:10])
        raise UsageError(
            f"there is no run {number}" if number is not None else "no run of this site is recorded",
            hint=f"recorded runs: {numbers}" if numbers else "runs are recorded by `provision cluster`",
        )

    def _numbers(self) -> list[int]:
        runs = self.directory / "runs"
        return [int(path.name) for path in runs.iterdir() if path.name.isdigit()] if runs.is_dir() else []

    def _read(self, number: int) -> Record | None:
        try:
            data = json.loads((self.directory / "runs" / f"{number:04d}" / "run.json").read_text(encoding="utf-8"))
            record = Record(**{key: value for key, value in data.items() if key in Record.__dataclass_fields__})
        except (OSError, ValueError, TypeError):
            return None  # a record that was never finished says nothing
        if record.state == RUNNING and holder(self.directory) is None:
            return Record(**{**record.as_dict(), "state": LOST})
        return record


@contextmanager
def lock(site: Path, workflow: str) -> Iterator[None]:
    """Hold the site for one run; raises Locked, naming who holds it.

    The kernel's lock on the open file is what counts, so a holder that died holds nothing; what is written in it
    is for people.
    """
    path = _private(site_directory(site)) / "lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked(path) from None
        own = {"pid": os.getpid(), "user": _user(), "workflow": workflow, "since": now()}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(own).encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def holder(directory: Path) -> Mapping[str, Any] | None:
    """Who holds the lock of this site's directory now; None when it is free."""
    path = directory / "lock"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _told(path)
    finally:
        os.close(handle)
    return None


def _locked(path: Path) -> Locked:
    told = _told(path)
    who = f"`provision {told.get('workflow', '?')}` of {told.get('user', '?')}, process {told.get('pid', '?')}"
    return Locked(
        f"another run works on this site: {who}, since {told.get('since', '?')}",
        hint="wait until it is done, or look at it with `provision runs list`",
    )


def _told(path: Path) -> Mapping[str, Any]:
    with suppress(OSError, ValueError):
        told = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(told, dict):
            return told
    return {}


def _private(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in (directory, *directory.parents):
        if part == state_home().parent:
            break
        if part.stat().st_mode & 0o077 and part.stat().st_uid == os.geteuid():
            part.chmod(0o700)
    return directory


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.geteuid())
