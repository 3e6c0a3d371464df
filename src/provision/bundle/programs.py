"""Running other programs: one way to do it, with errors that say what to install or what the program said."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from provision.errors import PreflightRefused, TaskFailed

_PACKAGES = {
    "apt-get": "apt",
    "apt-config": "apt",
    "docker-registry": "docker-registry",
    "dpkg-deb": "dpkg",
    "gpg": "gnupg",
}


def missing(program: str) -> PreflightRefused:
    """The error for a program that is not there, with the command that installs it."""
    return PreflightRefused(
        f"{program} is not installed on this machine", hint=f"apt-get install -y {_PACKAGES.get(program, program)}"
    )


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
) -> str:
    """Runs a program and returns its standard output.

    `what` completes "… failed" in the TaskFailed of a failure, which has the program's last words;
    `log` keeps all of them.
    """
    try:
        done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise missing(str(command[0])) from None
    if log:
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        last_words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise TaskFailed(
            f"{what} failed (exit {done.returncode}):\n{last_words}", hint=f"the whole log: {log}" if log else None
        )
    return done.stdout
