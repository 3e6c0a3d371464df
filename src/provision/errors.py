"""What can go wrong, as one tree of exceptions, each with the exit code that the command line ends with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

EXIT_OK = 0


@dataclass(frozen=True, order=True)
class Location:
    """A place in a file of the operator's: what an error points at and where a value comes from."""

    path: str
    line: int = 0
    """First line is 1; 0 means the file as a whole."""

    def __str__(self) -> str:
        path = _shorten(self.path)
        return f"{path}:{self.line}" if self.line else path


def _shorten(path: str) -> str:
    """Relative to the working directory when below it: what an operator can paste into an editor."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path


class ProvisionError(Exception):
    """A failure that is explained to the operator: what happened, where, and what to do about it.

    `message` is one sentence; `hint` is the fix or the command to go on with; `location` is a file and line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None, location: Location | str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = Location(location) if isinstance(location, str) else location

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" if self.location else self.message

    def as_dict(self) -> dict[str, object]:
        """The error for `--output json`."""
        return {
            "kind": type(self).__name__,
            "exit_code": self.exit_code,
            "message": self.message,
            "hint": self.hint,
            "file": self.location.path if self.location else None,
            "line": self.location.line or None if self.location else None,
        }


class UsageError(ProvisionError):
    """The command line itself makes no sense."""

    exit_code = 2


class InvalidInput(ProvisionError):
    """The site (inventory, settings, files it names) is wrong; found offline, no machine was touched.

    `others` holds the further problems found in the same pass, so that one run of `validate` shows all of them.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        location: Location | str | None = None,
        others: tuple[InvalidInput, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.others = others

    def as_dict(self) -> dict[str, object]:
        """The error for `--output json`, the other problems included."""
        return {**super().as_dict(), "others": [other.as_dict() for other in self.others]}


class PreflightRefused(ProvisionError):
    """A machine is not fit for what is asked; nothing was changed."""

    exit_code = 4


class HostUnreachable(ProvisionError):
    """A machine does not answer, or does not let us in."""

    exit_code = 5


class TaskFailed(ProvisionError):
    """A step on a machine failed."""

    exit_code = 6


class VerifyFailed(ProvisionError):
    """The cluster was changed as asked but does not work as it must, or its status is not healthy."""

    exit_code = 7


class Locked(ProvisionError):
    """Another run works on the same site."""

    exit_code = 8


class NotConfirmed(ProvisionError):
    """The operator said no, or could not be asked."""

    exit_code = 9


class PlanHasChanges(ProvisionError):
    """`--plan --exit-code` found something to do."""

    exit_code = 10


class Interrupted(ProvisionError):
    """The operator pressed Ctrl-C."""

    exit_code = 130


ALL: tuple[type[ProvisionError], ...] = (
    UsageError,
    InvalidInput,
    PreflightRefused,
    HostUnreachable,
    TaskFailed,
    VerifyFailed,
    Locked,
    NotConfirmed,
    PlanHasChanges,
    Interrupted,
)
"""Every kind with an exit code of its own, in the order of the codes: the reference page is made from it."""
