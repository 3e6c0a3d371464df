"""What a run reports becomes the error that the command ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision import errors, outcome
from provision.events import Task
from provision.results import Failure, RunResult
from provision.runner import Finished
from tests.unit.recorded import result_of

SITE = Path("site.ini")
FAILED = Finished(code=2, interrupted=False)


def _error(result: RunResult, finished: Finished = FAILED) -> errors.ProvisionError:
    error = outcome.error_of(result, finished, command="cluster", site=SITE)
    assert error is not None
    return error


def test_a_good_end_is_no_error() -> None:
    assert outcome.error_of(RunResult(), Finished(0, interrupted=False), command="cluster", site=SITE) is None


@pytest.mark.parametrize(
    ("run", "kind", "message"),
    [
        ("failed", errors.TaskFailed, "etcd: “Start etcd” failed on node2"),
        ("refused", errors.PreflightRefused, "node1 cannot be used as it is; nothing was changed"),
        ("unverified", errors.VerifyFailed, "the cluster does not pass its check"),
        ("unreachable", errors.HostUnreachable, "cannot work on node1: nothing listens for ssh there"),
        ("broken", errors.TaskFailed, "'taskss' is not a valid attribute for a Play"),
    ],
)
def test_each_end_has_its_error(run: str, kind: type[errors.ProvisionError], message: str) -> None:
    error = _error(result_of(run))

    assert type(error) is kind
    assert error.message == message
    assert error.hint is not None
    assert "provision " in error.hint


def test_a_broken_playbook_is_told_with_file_and_line() -> None:
    location = _error(result_of("broken")).location

    assert location is not None
    assert (location.path, location.line) == ("/project/playbooks/broken.yml", 3)


def test_ctrl_c_counts_more_than_what_it_broke() -> None:
    assert _error(result_of("failed"), Finished(99, interrupted=True)).exit_code == 130


def test_a_plan_that_is_interrupted_says_that_nothing_was_changed() -> None:
    error = _error(RunResult(check=True), Finished(99, interrupted=True))
    assert "nothing was changed" in error.message


@pytest.mark.parametrize(("command", "offered"), [("cluster", True), ("node add node1", False)])
def test_what_was_asked_for_by_name_is_not_left_out(command: str, offered: bool) -> None:
    error = outcome.error_of(result_of("unreachable"), FAILED, command=command, site=SITE)
    assert error is not None
    assert ("--without node1" in (error.hint or "")) is offered


def test_an_unreachable_host_counts_more_than_a_refused_one() -> None:
    both = RunResult(failures=(*result_of("refused").failures, *result_of("unreachable").failures))
    assert _error(both).exit_code == 5


def _dark(words: str) -> Failure:
    return Failure("node1", Task("Probe", "Probe"), words, unreachable=True)


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("Host key verification failed.", "its ssh host key is not the recorded one"),
        ("@@@\nWARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!", "its ssh host key is not the recorded one"),
        (
            "Host key checking is enabled, and SSH reported an unrecognized or mismatching host key.",
            "its ssh host key is not the recorded one",
        ),
        ("ssh: connect to host 10.0.0.1 port 22: Connection refused", "nothing listens for ssh there"),
        ("ssh: connect to host 10.0.0.1 port 22: No route to host", "it does not answer"),
        ("Connection timed out.", "it does not answer"),
        ("Could not resolve hostname x: Name or service not known", "its name has no address"),
        ("root@10.0.0.1: Permission denied (publickey).", "it does not accept the ssh key or the user"),
        ("WARNING: UNPROTECTED PRIVATE KEY FILE!\nPermission denied", "the ssh key cannot be used"),
        ("sudo: a password is required", "its user cannot become root without a password"),
        ("something new", ""),
    ],
)
def test_what_ssh_says_and_what_it_means(words: str, meaning: str) -> None:
    assert outcome.meaning_of(_dark(words))[0] == meaning


@pytest.mark.parametrize(
    "wrapped",
    [
        "EOF on stream; last 100 lines received:\nssh: refused",
        "Failed to connect to the host via ssh: ssh: refused",
        'Data could not be sent to remote host "a". Make sure this host can be reached over ssh: ssh: refused',
        "Warning: Permanently added 'a' to the list\nssh: refused",
    ],
)
def test_ssh_is_quoted_without_its_wrapping(wrapped: str) -> None:
    assert outcome.words_of(_dark(wrapped)) == "ssh: refused"
