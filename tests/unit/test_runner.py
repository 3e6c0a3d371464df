"""Ansible is really run, on this machine, by both strategies, and ended when it must be."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from provision import paths, runner
from provision.events import AnyEvent, HostChanged, HostResult, HostStarted
from provision.results import Reducer

_PLAYBOOK = """
- name: Work
  hosts: all
  gather_facts: false
  tasks:
    - name: Keep a secret
      ansible.builtin.copy: {content: "password=hunter2", dest: "%(out)s/secret-{{ inventory_hostname }}", mode: "0600"}
      no_log: true
    - name: Show a value
      ansible.builtin.copy: {content: "{{ greeting }}", dest: "%(out)s/file-{{ inventory_hostname }}", mode: "0644"}
    - name: Tell of a process
      ansible.builtin.command: cp --no-preserve=all /proc/self/status %(out)s/status-{{ inventory_hostname }}
"""
_SLOW = """
- name: Wait
  hosts: all
  gather_facts: false
  tasks:
    - name: Sleep
      ansible.builtin.command: sleep 300
"""
_SITE = """
[kube_control_plane]
one
two
[all:vars]
ansible_connection=local
ansible_become=false
"""


@pytest.fixture
def call(tmp_path: Path) -> runner.Invocation:
    (tmp_path / "site.ini").write_text(_SITE)
    (tmp_path / "work.yml").write_text(_PLAYBOOK % {"out": tmp_path})
    return runner.Invocation(
        tmp_path / "work.yml",
        (paths.groups_file(), tmp_path / "site.ini"),
        extra_vars={"greeting": "hello 'world'"},
    )


@pytest.mark.parametrize("strategy", ["mitogen", "linear"])
def test_a_playbook_runs_and_tells_what_it_did(
    call: runner.Invocation, strategy: runner.Strategy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(runner, "_MEMORY", tmp_path / "memory")
    seen: list[AnyEvent] = []
    reducer = Reducer()

    def add(event: AnyEvent) -> None:
        seen.append(event)
        reducer.add(event)

    done = runner.run(runner.Invocation(**{**vars(call), "strategy": strategy}), add)

    assert (done.code, done.interrupted) == (0, False)
    assert (tmp_path / "file-one").read_text() == "hello 'world'"
    assert {host: tally.changed for host, tally in reducer.result().hosts.items()} == {"one": 3, "two": 3}
    assert "hunter2" not in str(seen)
    assert list((tmp_path / "memory").iterdir()) == []
    own = _processors(Path("/proc/self/status"))
    assert _processors(tmp_path / "status-one") == own, "what a task starts on this machine has all its processors"


def _processors(status: Path) -> str:
    return next(line for line in status.read_text().splitlines() if line.startswith("Cpus_allowed_list"))


def test_check_mode_changes_nothing(call: runner.Invocation, tmp_path: Path) -> None:
    seen: list[AnyEvent] = []
    done = runner.run(runner.Invocation(**{**vars(call), "check": True, "limit": "one"}), seen.append)

    assert done.code == 0
    assert {event.host for event in seen if isinstance(event, HostChanged)} == {"one"}
    assert not (tmp_path / "file-one").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_ansible_and_then_returns(
    call: runner.Invocation, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "work.yml").write_text(_SLOW)
    # A shell's background job ignores SIGINT, and what is ignored stays so: the test begins as in a terminal.
    found = signal.signal(number, signal.default_int_handler)
    handler = signal.getsignal(number)
    pressed: list[float] = []

    def add(event: AnyEvent) -> None:
        if isinstance(event, HostStarted) and not pressed:
            pressed.append(time.monotonic())
            threading.Timer(0.5, os.kill, (os.getpid(), number)).start()

    try:
        done = runner.run(call, add)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, found)

    assert done.interrupted
    assert time.monotonic() - pressed[0] < 60


def test_a_signal_that_got_lost_in_ansible_is_repeated_when_something_new_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[int] = []
    now = [100.0]
    monkeypatch.setattr(runner.os, "kill", lambda _pid, number: sent.append(number))
    monkeypatch.setattr(runner.time, "monotonic", lambda: now[0])
    stop = runner._Stop()
    stop.watch(os.getpid() + 1)
    with stop.on_signals():
        stop.unheeded()
        assert sent == []
        signal.raise_signal(signal.SIGINT)
        stop.unheeded()
        assert sent == [signal.SIGINT], "what had begun before is told a little later"
        now[0] += 2
        stop.unheeded()
    assert sent == [signal.SIGINT] * 2
    assert not stop.overdue()


def test_nothing_of_the_operators_ansible_settings_gets_in_the_way(
    call: runner.Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_CONFIG", "/nonexistent.cfg")
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "minimal")
    monkeypatch.setenv("ANSIBLE_STRATEGY", "free")
    seen: list[AnyEvent] = []

    assert runner.run(call, seen.append).code == 0
    assert any(isinstance(event, HostResult) for event in seen)


def test_host_keys_are_checked_and_our_callbacks_found() -> None:
    environment = runner.environment(paths.project_root(), "linear")

    assert environment["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert Path(environment["ANSIBLE_CALLBACK_PLUGINS"]).is_dir()
    assert environment["ANSIBLE_STRATEGY"] == "linear"


def test_without_mitogen_ansible_works_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "find_spec", lambda _name: None)
    environment = runner.environment(paths.project_root(), "mitogen")

    assert environment["ANSIBLE_STRATEGY"] == "linear"
    assert "ANSIBLE_STRATEGY_PLUGINS" not in environment
