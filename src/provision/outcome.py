"""From what a run reports to what the command says: which error it is, why, and the one command to go on with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from provision.errors import (
    HostUnreachable,
    Interrupted,
    Location,
    PreflightRefused,
    ProvisionError,
    TaskFailed,
    VerifyFailed,
)
from provision.results import Failure, RunResult
from provision.runner import Finished


@dataclass(frozen=True)
class _Cause:
    """A way in which ssh or sudo fails: how it says so, what that means, and what helps."""

    pattern: re.Pattern[str]
    meaning: str
    hint: str


def _cause(pattern: str, meaning: str, hint: str) -> _Cause:
    return _Cause(re.compile(pattern, re.IGNORECASE), meaning, hint)


_CAUSES = (
    _cause(
        r"host key verification failed|identification has changed|mismatching host key|host key .*(?:differ|mismatch)",
        "its ssh host key is not the recorded one",
        "if the machine was installed again, record its new key (ssh-keygen -R ADDRESS, then ssh to it once); "
        "if not, another machine answers at this address",
    ),
    _cause(
        r"connection refused",
        "nothing listens for ssh there",
        "is the machine up, sshd started, and ansible_host or ansible_port right?",
    ),
    _cause(
        r"timed out|no route to host|network is unreachable|timeout expired|host is down",
        "it does not answer",
        "is the machine on, its address right, and the way to it open?",
    ),
    _cause(
        r"could not resolve|name or service not known|no address associated",
        "its name has no address",
        "give the address in the inventory: ansible_host=…",
    ),
    _cause(
        r"(?:sudo|become).*password|a password is required|incorrect (?:sudo|su) password|not in the sudoers",
        "its user cannot become root without a password",
        "let the ssh user use sudo without a password, or set ansible_become_password in an encrypted vars file",
    ),
    _cause(
        r"unprotected private key|bad permissions|identity file .* not accessible|invalid format|load key",
        "the ssh key cannot be used",
        "ansible_ssh_private_key_file must name a key that you can read and nobody else can (chmod 600)",
    ),
    _cause(
        r"permission denied|too many authentication failures|password authentication",
        "it does not accept the ssh key or the user",
        "check ansible_user and ansible_ssh_private_key_file, and that the public key is on the machine",
    ),
    _cause(
        r"python.*(?:not found|no such file)|no python",
        "it has no Python",
        "install python3 (3.9 or newer) on the machine",
    ),
)
_WRAPPING = re.compile(
    r"^Task failed: |Failed to connect to the host via ssh: |"
    r"Data could not be sent to remote host .*? can be reached over ssh: |"
    r"^.*EOF on stream; last \d+ lines received:",
    re.MULTILINE,
)
_NOISE = re.compile(r"^(?:Pseudo-terminal will not be allocated|Warning: Permanently added|@+$)")


def words_of(failure: Failure) -> str:
    """What to quote: the tool's last words, freed of the wrapping that ssh connections get."""
    return unwrapped(failure.words) if failure.unreachable else failure.words


def unwrapped(words: str) -> str:
    """What ssh itself said."""
    lines = [line.strip() for line in _WRAPPING.sub("", words).splitlines()]
    return "\n".join(line for line in lines if line and not _NOISE.match(line)) or words


def meaning_of(failure: Failure) -> tuple[str, str]:
    """What an unreachable host's words mean, and what helps; empty where nobody knows better than ssh."""
    return why_unreachable(failure.words) if failure.unreachable else ("", "")


def why_unreachable(words: str) -> tuple[str, str]:
    """What these words of ssh or sudo mean, and what helps; empty where nobody knows better than them."""
    found = next((cause for cause in _CAUSES if cause.pattern.search(words)), None)
    return (found.meaning, found.hint) if found else ("", "")


def error_of(result: RunResult, finished: Finished, *, command: str, site: Path) -> ProvisionError | None:
    """The error that the run ends with, or None. `command` is the workflow's, for the way on."""
    again = f"provision {command} -i {shown(site)}"
    if finished.interrupted:
        kept = "nothing was changed" if result.check else "what was done so far stays as it is"
        return Interrupted(f"interrupted; {kept}", hint=f"go on with: {again}")
    if not result.failures:
        return None if finished.code == 0 else _broken(result, finished, again)
    unreachable = [failure for failure in result.failures if failure.unreachable]
    if unreachable:
        meanings = {meaning_of(failure)[0] for failure in unreachable}
        why = f": {meanings.pop()}" if len(meanings) == 1 and "" not in meanings else ""
        without = ",".join(dict.fromkeys(failure.host for failure in unreachable))
        hint = f"when that is put right: {again}"
        if not {failure.host for failure in unreachable} & {*command.split()}:  # what was asked for cannot be left out
            hint += f"; to leave out what is dead: {again} --without {without}"
        return HostUnreachable(f"cannot work on {_names(unreachable)}{why}", hint=hint)
    refused = [failure for failure in result.failures if failure.problems]
    if refused:
        return PreflightRefused(
            f"{_names(refused)} cannot be used as they are; nothing was changed"
            if len({failure.host for failure in refused}) > 1
            else f"{_names(refused)} cannot be used as it is; nothing was changed",
            hint=f"when that is put right: {again}",
        )
    if all(failure.verifying for failure in result.failures):
        return VerifyFailed("the cluster does not pass its check", hint=f"look at: provision status -i {shown(site)}")
    first = result.failures[0]
    return TaskFailed(
        f"{first.task.role or first.task.phase}: “{first.task.name}” failed on {_names(result.failures)}",
        hint=f"when that is put right, go on with: {again}",
    )


def _broken(result: RunResult, finished: Finished, again: str) -> ProvisionError:
    """Ansible ended badly without a failed task: the playbook, the inventory or the installation is at fault."""
    told = "\n".join(result.messages)
    said = re.search(r"\[ERROR\]: (.+)", told)
    origin = re.search(r"^Origin: (.+?):(\d+)", told, re.MULTILINE)
    unsaid = result.messages[-1] if result.messages else f"Ansible ended with code {finished.code} and said nothing"
    return TaskFailed(
        said[1] if said else unsaid,
        hint=f"for all that Ansible says: {again} -vv",
        location=Location(origin[1], int(origin[2])) if origin else None,
    )


def _names(failures: Iterable[Failure]) -> str:
    return ", ".join(dict.fromkeys(failure.host for failure in failures))


def on_sandbox(site: Path) -> str:
    """The line that says that a site's own machines are not meant, but nodes in their place."""
    return f"{site.name}: on the nodes of its sandbox"


def shown(site: Path) -> str:
    """A path as an operator would type it here."""
    try:
        return str(site.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(site)
